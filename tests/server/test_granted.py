"""Mailboxes that a provider grants access to: a real authorization server, a Dovecot that takes its tokens, and no
password anywhere but the device's.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from gateway.store.state import VAULT_FILE
from tests.gateway_process import GatewayProcess, StartGateway
from tests.granted import Enrolled, MailProvider, enrol, vault_of
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox
from tests.servers.postgres import Postgres

MAIL = [b"Subject: one\r\n\r\n1\r\n", b"Subject: two\r\n\r\n2\r\n", b"Subject: three\r\n\r\n3\r\n"]
NO_WARM = {"connections": 0}  # each session logs in
SESSIONS = 20
PATIENCE_SECONDS = 30.0


def upstream(provider: MailProvider, **more: Any) -> dict[str, Any]:
    server = provider.imap
    return {"url": f"imaps://{server.host}:{server.imaps_port}", "ca_file": str(server.ca_file)} | more


@pytest.fixture
def mailbox(mail_provider: MailProvider) -> Mailbox:
    return mail_provider.new_mailbox(*MAIL)


@pytest.fixture
def gateway(start_gateway: StartGateway, mail_provider: MailProvider) -> GatewayProcess:
    """Each session logs in at the mail server."""
    settings = mail_provider.settings(upstream=upstream(mail_provider, warm=NO_WARM))
    return start_gateway(mail_provider.imap, **settings)


@pytest.fixture
def ann(gateway: GatewayProcess, mail_provider: MailProvider, mailbox: Mailbox) -> Iterator[Enrolled]:
    """She has just signed in."""
    with vault_of(gateway) as vault:
        yield enrol(vault, mailbox, mail_provider.sign_in(mailbox.user))


def session(gateway: GatewayProcess, device: Mailbox) -> bytes:
    """What the login gives."""
    with RawClient(gateway.port) as client:
        reply = client.log_in(device)
        if reply.startswith(b"+OK"):
            assert client.ask("QUIT").startswith(b"+OK")
    return reply


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def told(gateway: GatewayProcess, event: str) -> int:
    return sum(known["event"] == event for known in gateway.events)


# Tokens of every kind


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_device_fetches_and_deletes_with_its_app_password(
    start_gateway: StartGateway, each_mail_provider: MailProvider, mechanism: str
) -> None:
    provider, mailbox = each_mail_provider, each_mail_provider.new_mailbox(*MAIL)
    gateway = start_gateway(provider.imap, **provider.settings(mechanism))
    with vault_of(gateway) as vault, RawClient(gateway.port) as client:
        known = enrol(vault, mailbox, provider.sign_in(mailbox.user))
        assert client.log_in(known.device).startswith(b"+OK maildrop has 3 messages")
        assert [client.message(f"RETR {number}") for number in (1, 2, 3)] == MAIL
        client.ask("DELE 2")
        assert client.ask("QUIT").startswith(b"+OK")
    assert len(mailbox.messages()) == 2
    assert provider.renewals == 0
    assert f"method={mechanism}" in provider.imap.log


def test_a_token_that_has_expired_is_renewed_and_kept(
    gateway: GatewayProcess, mail_provider: MailProvider, ann: Enrolled
) -> None:
    before = ann.grant
    ann.expire()
    for _ in range(3):
        assert session(gateway, ann.device).startswith(b"+OK")
    assert mail_provider.renewals == 1
    after = ann.grant
    assert after.access != before.access
    assert after.expires > time.time()
    assert (after.refresh, after.since) == (before.refresh, before.since)


def test_a_refresh_token_that_the_provider_rotates_is_kept(
    gateway: GatewayProcess, mail_provider: MailProvider, ann: Enrolled
) -> None:
    mail_provider.behave(rotate=True)
    seen = {ann.grant.refresh and ann.grant.refresh.reveal()}
    for _ in range(3):
        ann.expire()
        assert session(gateway, ann.device).startswith(b"+OK")
        seen.add(ann.grant.refresh and ann.grant.refresh.reveal())
    assert len(seen) == 4
    assert mail_provider.renewals == 3


def test_a_provider_whose_clock_is_ahead_takes_a_token_for_expired_before_we_do(
    gateway: GatewayProcess, mail_provider: MailProvider, mailbox: Mailbox
) -> None:
    mail_provider.behave(access_seconds=1)
    with vault_of(gateway) as vault:
        ann = enrol(vault, mailbox, mail_provider.sign_in(mailbox.user))
        ann.change(expires=time.time() + 3600)
        wait_until(lambda: not mail_provider.takes(mailbox, ann.grant))
        mail_provider.behave()
        assert session(gateway, ann.device).startswith(b"+OK")
        assert mail_provider.renewals == 1
        assert ann.grant.turned_down


def test_a_poll_on_a_warm_connection_asks_for_nothing(
    start_gateway: StartGateway, mail_provider: MailProvider, mailbox: Mailbox
) -> None:
    gateway = start_gateway(mail_provider.imap, **mail_provider.settings())
    with vault_of(gateway) as vault:
        ann = enrol(vault, mailbox, mail_provider.sign_in(mailbox.user))
        assert session(gateway, ann.device).startswith(b"+OK")
        ann.expire()
        for _ in range(3):
            assert session(gateway, ann.device).startswith(b"+OK")
    assert mail_provider.renewals == 0


# Who gets in


@pytest.mark.parametrize("wrong", ["aaaa-bbbb-cccc-dddd", "", "the access token", "the refresh token"])
def test_a_wrong_app_password_touches_neither_the_provider_nor_the_mail_server(
    gateway: GatewayProcess, mail_provider: MailProvider, ann: Enrolled, wrong: str
) -> None:
    ann.expire()
    grant = ann.grant
    secrets = {"the access token": grant.access, "the refresh token": grant.refresh}
    secret = secrets.get(wrong)
    asked, logins = len(mail_provider.authorization.asked), mail_provider.imap.log.count("method=XOAUTH2")
    reply = session(gateway, replace(ann.device, password=secret.reveal() if secret else wrong))
    assert reply.startswith(b"-ERR [AUTH]")
    assert len(mail_provider.authorization.asked) == asked
    assert mail_provider.imap.log.count("method=XOAUTH2") == logins
    assert ann.grant == grant


def test_somebody_elses_sign_in_does_not_open_the_mailbox_and_what_can_be_wrong_is_told(
    gateway: GatewayProcess, mail_provider: MailProvider, mailbox: Mailbox
) -> None:
    with vault_of(gateway) as vault:
        known = enrol(vault, mailbox, mail_provider.sign_in("somebody.else@example.org"))
        for _ in range(5):  # as often as would be locked out for guesses
            reply = session(gateway, known.device)
            assert reply.startswith(b"-ERR [SYS/PERM] the mail server does not take the sign-in")
        known.grant  # noqa: B018 - its secrets are looked for
    assert mail_provider.renewals == 1
    failed = gateway.wait_for("login failed")
    assert "was it its owner who signed in" in failed["error"]


# The end of a grant


def test_a_grant_that_its_owner_takes_back_is_told_and_nobody_is_asked_any_more(
    gateway: GatewayProcess, mail_provider: MailProvider, ann: Enrolled
) -> None:
    mail_provider.authorization.revoke(ann.device.user)
    for _ in range(3):
        assert session(gateway, ann.device).startswith(b"-ERR [AUTH] the mail provider wants the owner")
    assert mail_provider.renewals == 1
    assert "invalid_grant" in ann.grant.trouble
    assert told(gateway, "sign-in needed: the provider gives no tokens for this mailbox any more") == 1
    ann.sign_in_anew(mail_provider.sign_in(ann.device.user))
    assert session(gateway, ann.device).startswith(b"+OK maildrop has 3 messages")
    assert mail_provider.renewals == 1


def test_a_provider_that_is_down_is_an_error_for_now_and_loses_no_grant(
    gateway: GatewayProcess, mail_provider: MailProvider, ann: Enrolled
) -> None:
    before = ann.grant
    ann.expire()
    mail_provider.behave(status=503)
    assert session(gateway, ann.device).startswith(b"-ERR [SYS/TEMP] service unavailable: the mail provider's")
    assert (ann.grant.refresh, ann.grant.trouble) == (before.refresh, "")
    mail_provider.behave()
    wait_until(lambda: session(gateway, ann.device).startswith(b"+OK"))
    assert ann.grant.access != before.access


def test_while_a_token_lives_nobody_notices_that_the_provider_is_down(
    gateway: GatewayProcess, mail_provider: MailProvider, ann: Enrolled
) -> None:
    ann.change(expires=time.time() + 60, renewed=time.time() - 3600)  # it is due
    mail_provider.behave(status=503)
    for _ in range(3):
        assert session(gateway, ann.device).startswith(b"+OK")
    assert mail_provider.renewals >= 1
    assert told(gateway, "no access token now: the provider's sign-in service cannot be used") >= 1


@pytest.mark.parametrize("each_mail_provider", ["jwt"], indirect=True)
def test_a_mail_server_that_judges_tokens_by_itself_and_we_need_no_provider_while_one_lives(
    start_gateway: StartGateway, each_mail_provider: MailProvider
) -> None:
    provider, mailbox = each_mail_provider, each_mail_provider.new_mailbox(*MAIL)
    gateway = start_gateway(provider.imap, **provider.settings(upstream=upstream(provider, warm=NO_WARM)))
    with vault_of(gateway) as vault:
        ann = enrol(vault, mailbox, provider.sign_in(mailbox.user))
        provider.authorization.down()
        assert session(gateway, ann.device).startswith(b"+OK")
        ann.expire()
        assert session(gateway, ann.device).startswith(b"-ERR [SYS/TEMP] service unavailable: the mail provider's")
        provider.authorization.up()
        wait_until(lambda: session(gateway, ann.device).startswith(b"+OK"))


def test_what_the_provider_rotated_while_the_state_could_not_be_written_is_written_later(
    gateway: GatewayProcess, mail_provider: MailProvider, ann: Enrolled
) -> None:
    """Lost, it would take a new sign-in: the old refresh token is worth nothing any more."""
    before = ann.grant
    ann.expire()
    mail_provider.behave(rotate=True, delay=0.5)
    with ThreadPoolExecutor(1) as pool, contextlib.closing(sqlite3.connect(gateway.state / VAULT_FILE)) as other:
        fetching = pool.submit(session, gateway, ann.device)
        wait_until(lambda: mail_provider.renewals == 1)
        other.execute("BEGIN IMMEDIATE")  # nobody else writes
        assert fetching.result().startswith(b"+OK")
        event = "what the provider gave cannot be written down: do not stop the gateway before the state is mended"
        gateway.wait_for(event)
        assert ann.grant.refresh == before.refresh
        other.rollback()
        gateway.wait_for("what the provider gave is written down now")
    assert ann.grant.refresh != before.refresh
    ann.expire()
    assert session(gateway, ann.device).startswith(b"+OK")


# In mid-session


def test_a_session_outlives_its_token_and_the_client_notices_nothing(
    gateway: GatewayProcess, mail_provider: MailProvider, mailbox: Mailbox, ann: Enrolled
) -> None:
    with RawClient(gateway.port) as client:
        assert client.log_in(ann.device).startswith(b"+OK maildrop has 3 messages")
        assert client.message("RETR 3") == MAIL[2]
        for number in (2, 1):  # against the order, so that nothing is read ahead
            mail_provider.revoke_token(ann.grant)
            ann.change(turned_down=0.0)  # as if it were long ago
            mail_provider.imap.kick(mailbox.user)
            assert client.message(f"RETR {number}") == MAIL[number - 1]
        mail_provider.revoke_token(ann.grant)
        ann.change(turned_down=0.0)
        mail_provider.imap.kick(mailbox.user)
        client.ask("DELE 1")
        client.ask("DELE 3")
        assert client.ask("QUIT").startswith(b"+OK")
    assert len(mailbox.messages()) == 1
    assert mail_provider.renewals == 3


def test_a_grant_that_is_taken_back_in_mid_session_fails_the_command_and_deletes_nothing(
    gateway: GatewayProcess, mail_provider: MailProvider, mailbox: Mailbox, ann: Enrolled
) -> None:
    with RawClient(gateway.port) as client:
        assert client.log_in(ann.device).startswith(b"+OK")
        client.ask("DELE 1")
        mail_provider.authorization.revoke(mailbox.user)
        mail_provider.imap.kick(mailbox.user)
        assert client.ask("RETR 2").startswith(b"-ERR [SYS/TEMP] service unavailable")
        assert len(mailbox.messages()) == 3
    assert ann.grant.trouble


# Many at once


def all_at_once(gateways: list[GatewayProcess], device: Mailbox) -> list[bytes]:
    """Twenty sessions, spread over the gateways, open together."""

    def one(number: int) -> bytes:
        client = clients.enter_context(RawClient(gateways[number % len(gateways)].port))
        return client.log_in(device)

    with contextlib.ExitStack() as clients, ThreadPoolExecutor(SESSIONS) as pool:
        return list(pool.map(one, range(SESSIONS)))


SHARED: dict[str, Any] = {"workers": 2, "maildrop": {"lock": "shared"}}


def test_two_workers_and_twenty_sessions_make_one_request(
    start_gateway: StartGateway, mail_provider: MailProvider, mailbox: Mailbox
) -> None:
    settings = mail_provider.settings(upstream=upstream(mail_provider, warm=NO_WARM), **SHARED)
    gateway = start_gateway(mail_provider.imap, **settings)
    with vault_of(gateway) as vault:
        ann = enrol(vault, mailbox, mail_provider.sign_in(mailbox.user))
        mail_provider.behave(rotate=True, delay=0.5)
        ann.expire()
        assert all(
            reply.startswith(b"+OK maildrop has 3 messages") for reply in all_at_once([gateway], ann.device)
        )
        assert mail_provider.renewals == 1
        ann.expire()
        mail_provider.behave(status=503, delay=1.0)
        assert all(reply.startswith(b"-ERR [SYS/TEMP]") for reply in all_at_once([gateway], ann.device))
        assert mail_provider.renewals == 2
        ann.change(fault="", tried=0.0)
        mail_provider.behave()
        mail_provider.authorization.revoke(mailbox.user)
        assert all(reply.startswith(b"-ERR [AUTH]") for reply in all_at_once([gateway], ann.device))
        assert mail_provider.renewals == 3


def test_two_machines_and_twenty_sessions_make_one_request(
    start_gateway: StartGateway,
    mail_provider: MailProvider,
    mailbox: Mailbox,
    shared_postgres: Postgres,
    tmp_path: Any,
) -> None:
    url, keys = shared_postgres.new_database(), str(tmp_path / "both.keys")
    settings = mail_provider.settings(upstream=upstream(mail_provider, warm=NO_WARM), state=url, **SHARED)
    settings["accounts"] |= {"key_file": keys}
    pair = [start_gateway(mail_provider.imap, state_folder=str(tmp_path / name), **settings) for name in "ab"]
    with vault_of(pair[0], url, tmp_path / "both.keys") as vault:
        ann = enrol(vault, mailbox, mail_provider.sign_in(mailbox.user))
        mail_provider.behave(rotate=True, delay=0.5)
        ann.expire()
        assert all(reply.startswith(b"+OK maildrop has 3 messages") for reply in all_at_once(pair, ann.device))
        assert mail_provider.renewals == 1
        ann.expire()
        mail_provider.behave(status=503, delay=1.0)
        assert all(reply.startswith(b"-ERR [SYS/TEMP]") for reply in all_at_once(pair, ann.device))
        assert mail_provider.renewals == 2
