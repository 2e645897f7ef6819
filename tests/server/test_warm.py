"""Polls on warm connections, before a real Dovecot: what they cost it, and what becomes of them."""

import re
from collections.abc import Iterator

import pytest

from tests.fakes.faults import Stall
from tests.fakes.imap import FakeImap
from tests.faults.relay import End, Relay
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates


@pytest.fixture
def relay(dovecot: Dovecot) -> Iterator[Relay]:
    with Relay(dovecot.imap_port) as running:
        yield running


@pytest.fixture
def gateway(start_gateway: StartGateway, dovecot: Dovecot, relay: Relay) -> GatewayProcess:
    running = start_gateway(dovecot, upstream=f"imap://127.0.0.1:{relay.port}?tls=none")
    running.wait_until_it_knows_its_upstream()
    relay.forget()
    return running


def poll(gateway: GatewayProcess, mailbox: Mailbox) -> bytes:
    """A session; the reply to STAT, or to a login that failed."""
    with RawClient(gateway.port) as client:
        reply = client.log_in(mailbox)
        if reply.startswith(b"+OK"):
            reply = client.ask("STAT")
            assert client.ask("QUIT").startswith(b"+OK")
        return reply


def logins(dovecot: Dovecot, mailbox: Mailbox) -> int:
    return len(re.findall(rf"imap-login: .*Login: user=<{re.escape(mailbox.user)}>", dovecot.log))


def test_a_poll_takes_one_flight(
    gateway: GatewayProcess, relay: Relay, mailbox: Mailbox, dovecot: Dovecot
) -> None:
    mailbox.deliver([b"Subject: one\r\n\r\n"])
    before = logins(dovecot, mailbox)
    poll(gateway, mailbox)
    flights = relay.flights
    for _ in range(5):
        assert poll(gateway, mailbox) == b"+OK 1 16"
    assert relay.flights - flights == 5
    assert relay.connections == 1
    assert logins(dovecot, mailbox) - before == 1


def test_every_message_is_deleted_seen_and_found_as_on_a_connection_of_its_own(
    gateway: GatewayProcess, relay: Relay, mailbox: Mailbox
) -> None:
    messages = [b"Subject: %d\r\n\r\n" % number for number in range(4)]
    uids = mailbox.deliver(messages)
    mailbox.flag(uids[3:], r"\Deleted")  # another program's, and none of ours
    for message in messages[:3]:
        with RawClient(gateway.port) as client:
            client.log_in(mailbox)
            assert client.message("RETR 1") == message
            client.ask("DELE 1")
            client.ask("QUIT")
    assert [stored.octets for stored in mailbox.messages()] == messages[3:]
    mailbox.deliver(messages[:1])
    assert poll(gateway, mailbox) == b"+OK 2 %d" % (2 * len(messages[0]))
    assert relay.connections == 1


def test_it_shows_what_others_did_since(start_gateway: StartGateway, upstream_mailbox: Mailbox) -> None:
    """Whatever the server: it is asked anew each time."""
    message = b"Subject: one\r\n\r\n"
    with Relay(upstream_mailbox.server.imap_port) as relay:
        url = f"imap://127.0.0.1:{relay.port}?tls=none"
        gateway = start_gateway(upstream_mailbox.server, upstream=url)
        gateway.wait_until_it_knows_its_upstream()
        relay.forget()
        uids = upstream_mailbox.deliver([message] * 2)
        for _ in range(2):
            assert poll(gateway, upstream_mailbox).startswith(b"+OK 2 ")
        upstream_mailbox.deliver([message])
        for _ in range(2):
            assert poll(gateway, upstream_mailbox).startswith(b"+OK 3 ")
        upstream_mailbox.expunge(uids[:1])
        upstream_mailbox.flag(uids[1:], r"\Deleted")
        for _ in range(2):
            assert poll(gateway, upstream_mailbox).startswith(b"+OK 2 ")
        assert relay.connections == 1


@pytest.mark.parametrize("how", [End.FIN, End.RST])
def test_a_connection_that_was_cut_between_two_polls_is_not_noticed(
    gateway: GatewayProcess, relay: Relay, mailbox: Mailbox, how: End
) -> None:
    for _ in range(3):
        assert poll(gateway, mailbox) == b"+OK 0 0"
        relay.cut(how)
    assert relay.connections == 3


def test_nor_is_a_server_that_was_restarted(start_gateway: StartGateway, certificates: Certificates) -> None:
    with Dovecot(certificates) as dovecot:
        mailbox = new_mailbox(dovecot)
        gateway = start_gateway(dovecot)
        for _ in range(2):
            assert poll(gateway, mailbox) == b"+OK 0 0"
            dovecot.down()
            assert poll(gateway, mailbox).startswith(b"-ERR [SYS/TEMP]")
            dovecot.up()
        assert poll(gateway, mailbox) == b"+OK 0 0"


def test_only_the_right_password_gets_it_and_a_new_one_ends_it(
    start_gateway: StartGateway, certificates: Certificates
) -> None:
    with Dovecot(certificates) as dovecot:
        mailbox = new_mailbox(dovecot)
        gateway = start_gateway(dovecot)
        poll(gateway, mailbox)
        wrong = Mailbox(dovecot, mailbox.user, "wrong")
        assert poll(gateway, wrong).startswith(b"-ERR [AUTH]")
        poll(gateway, mailbox)
        assert logins(dovecot, mailbox) == 1
        changed = Mailbox(dovecot, mailbox.user, "changed")
        dovecot.add_user(mailbox.user, changed.password)
        assert poll(gateway, changed) == b"+OK 0 0"
        assert poll(gateway, mailbox).startswith(b"-ERR [AUTH]")
        assert logins(dovecot, mailbox) == 2


def test_it_makes_room_where_the_server_counts_a_users_connections(
    start_gateway: StartGateway, certificates: Certificates
) -> None:
    with Dovecot(certificates, extra="mail_max_userip_connections = 1\n") as dovecot:
        mailbox = new_mailbox(dovecot)
        gateway = start_gateway(dovecot)
        poll(gateway, mailbox)
        changed = Mailbox(dovecot, mailbox.user, "changed")
        dovecot.add_user(mailbox.user, changed.password)
        assert poll(gateway, changed) == b"+OK 0 0"


def test_the_login_delay_counts_all_the_same(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server, limits={"login_delay": 60})
    assert poll(gateway, mailbox) == b"+OK 0 0"
    assert poll(gateway, mailbox).startswith(b"-ERR [LOGIN-DELAY]")


def test_the_end_of_the_gateway_is_a_logout_for_each(start_gateway: StartGateway, fake: FakeImap) -> None:
    gateway = start_gateway(fake)
    for _ in range(20):
        poll(gateway, new_mailbox(fake))
    assert gateway.stop() == 0
    assert fake.verbs.count("LOGOUT") == 20


def test_and_a_server_that_does_not_answer_then_delays_nobody(start_gateway: StartGateway, fake: FakeImap) -> None:
    gateway = start_gateway(fake)
    fake.on("LOGOUT", Stall())
    for _ in range(20):
        poll(gateway, new_mailbox(fake))
    assert gateway.stop() == 0  # which a farewell after the other would take too long for
    assert fake.verbs.count("LOGOUT") == 20


def test_none_are_kept_where_the_operator_wants_none(start_gateway: StartGateway, fake: FakeImap) -> None:
    upstream = {"url": f"imaps://localhost:{fake.imaps_port}", "ca_file": str(fake.ca_file)}
    gateway = start_gateway(fake, upstream=upstream | {"warm": {"connections": 0}})
    drop = new_mailbox(fake)
    for _ in range(2):
        poll(gateway, drop)
        fake.wait_until_idle()
    assert fake.verbs.count("LOGIN") == fake.verbs.count("LOGOUT") == 2
