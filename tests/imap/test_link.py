"""Connecting: TLS, STARTTLS, the greeting, and a host that is not there."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import (
    GatewayError,
    SettingsError,
    UpstreamError,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from gateway.imap import tls as client_tls
from gateway.imap.link import Timeouts, connect, say_goodbye
from gateway.imap.probe import greet, look
from gateway.ports import Endpoint, TlsMode
from tests.fakes.faults import Bye, Close, Delay, EndlessLine, Insert, Preauth, Say, Send, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.imap.conftest import HASTY, PATIENT, Upstream, secured
from tests.servers import tls

MODES = [TlsMode.IMPLICIT, TlsMode.STARTTLS]


def failure(endpoint: Endpoint, timeouts: Timeouts = PATIENT) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        connect(endpoint, timeouts)
    return caught.value


@pytest.mark.parametrize("mode", MODES)
async def test_a_session_under_tls(secure_fake: FakeImap, secure_upstream: Upstream, mode: TlsMode) -> None:
    secure_upstream.endpoint = secured(secure_fake, mode)
    mailbox = await secure_upstream.open()
    assert len(mailbox.snapshot) == 3
    assert secure_fake.connections[0].secure
    assert [command.verb for command in secure_fake.log if command.verb == "STARTTLS"] == (
        ["STARTTLS"] if mode is TlsMode.STARTTLS else []
    )


async def test_a_large_message_under_tls(secure_fake: FakeImap, secure_upstream: Upstream) -> None:
    text = bytes(range(256)) * 8192
    [uid] = secure_fake.deliver("ann", [text])
    mailbox = await secure_upstream.open()
    body = await mailbox.open_body(uid)
    assert b"".join([block async for block in body]) == text


# Who it is not spoken to


@pytest.mark.parametrize("mode", MODES)
def test_a_certificate_that_nobody_vouches_for_is_not_taken(secure_fake: FakeImap, mode: TlsMode) -> None:
    error = failure(secured(secure_fake, mode, trusted=False))
    assert type(error) is UpstreamUnusable
    assert "the server's certificate is not trusted" in str(error)
    assert str(error).endswith("; is it of a private authority? Set upstream.ca_file")
    assert set(secure_fake.verbs) <= {"STARTTLS"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("names", "lifetime", "said"),
    [
        (["other.example"], timedelta(days=2), "; write a name that the certificate bears into upstream"),
        (tls.LOCAL, timedelta(days=-1), "certificate has expired"),
    ],
)
def test_nor_one_of_another_host_or_another_day(
    tmp_path: Path, names: list[str], lifetime: timedelta, said: str, mode: TlsMode
) -> None:
    with FakeImap(tls.make(tmp_path, names, lifetime=lifetime)) as server:
        error = failure(secured(server, mode))
    assert type(error) is UpstreamUnusable
    assert said in str(error)


def test_tls_1_2_is_enough_and_the_least(secure_fake: FakeImap) -> None:
    assert secure_fake._site.tls is not None
    secure_fake._site.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    say_goodbye(connect(secured(secure_fake, TlsMode.IMPLICIT), PATIENT))
    assert client_tls.trust(secure_fake.ca_file).context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_an_authority_that_cannot_be_read_is_an_error_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "not.pem").write_text("nothing")
    for file in (tmp_path / "not.pem", tmp_path / "none.pem", tmp_path):
        with pytest.raises(SettingsError, match=f"upstream.ca_file: {file}(: | holds no cert)"):
            client_tls.trust(file)


# STARTTLS


def test_where_starttls_is_not_offered_nothing_is_said_in_clear(fake: FakeImap) -> None:
    error = failure(Endpoint("127.0.0.1", fake.imap_port, TlsMode.STARTTLS))
    assert type(error) is UpstreamUnusable
    assert fake.verbs == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Say("NO not now"), UpstreamUnusable),
        (Say("NO [UNAVAILABLE] try later"), UpstreamRefused),
        (Say("BAD what"), UpstreamError),
        (Close(), UpstreamUnreachable),
        (Bye(), UpstreamUnreachable),
        (Send("garbage\r\n"), UpstreamUnreachable),
    ],
    ids=repr,
)
def test_a_starttls_that_fails_is_no_reason_to_go_on_in_clear(
    secure_fake: FakeImap, fault: Fault, kind: type[GatewayError]
) -> None:
    secure_fake.on("STARTTLS", fault)
    error = failure(secured(secure_fake, TlsMode.STARTTLS))
    assert type(error) is kind or (kind is UpstreamError and isinstance(error, UpstreamError))
    assert secure_fake.verbs == ["STARTTLS"]


@pytest.mark.parametrize("line", ["* CAPABILITY IMAP4rev1 AUTH=PLAIN", "* OK hello", "x", "* PREAUTH hi"])
def test_what_was_injected_behind_starttls_ends_the_connection(secure_fake: FakeImap, line: str) -> None:
    secure_fake.on("STARTTLS", Insert(line, at="behind"))
    error = failure(secured(secure_fake, TlsMode.STARTTLS))
    assert isinstance(error, UpstreamUnreachable)
    assert secure_fake.verbs == ["STARTTLS"]


async def test_what_was_said_ahead_of_tls_is_forgotten(secure_fake: FakeImap, secure_upstream: Upstream) -> None:
    secure_fake.on("STARTTLS", Insert("* CAPABILITY IMAP4rev1 LOGINDISABLED INJECTED"))
    client = connect(secured(secure_fake, TlsMode.STARTTLS), PATIENT)
    assert "INJECTED" not in client.offered()
    assert secure_fake.verbs == ["STARTTLS", "CAPABILITY"]
    say_goodbye(client)


@pytest.mark.parametrize("mode", [TlsMode.NONE, *MODES])
def test_a_server_that_knows_us_without_a_password_is_not_used(secure_fake: FakeImap, mode: TlsMode) -> None:
    secure_fake.on("GREETING", Preauth("ann"))
    error = failure(secured(secure_fake, mode))
    assert type(error) is UpstreamUnusable
    assert set(secure_fake.verbs) <= {"CAPABILITY"}


@pytest.mark.parametrize(("fault", "kind"), [(Close(), UpstreamUnreachable), (Stall(), UpstreamSilent)], ids=repr)
@pytest.mark.parametrize("mode", MODES)
def test_a_handshake_that_does_not_end(
    secure_fake: FakeImap, mode: TlsMode, fault: Fault, kind: type[GatewayError]
) -> None:
    secure_fake.on("TLS", fault)
    assert type(failure(secured(secure_fake, mode), HASTY)) is kind


# The greeting


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Close(), UpstreamUnreachable),
        (Close(reset=True), UpstreamUnreachable),
        (Close(octets=3), UpstreamUnreachable),
        (Stall(), UpstreamSilent),
        (Stall(octets=3), UpstreamSilent),
        (Bye(), UpstreamError),
        (Say("NO not you"), UpstreamError),
        (Say("NO [AUTHENTICATIONFAILED] not you"), UpstreamRefused),
        (Bye("[INUSE] busy"), UpstreamRefused),
        (Send("* AccessTokenExpired\r\n"), UpstreamRefused),
        (Send("+OK POP3 ready\r\n"), UpstreamError),
        (Send("HTTP/1.1 400 Bad Request\r\n"), UpstreamError),
        (Send("220 smtp.example.com ESMTP\r\n"), UpstreamError),
        (Send("\x16\x03\x01\x02\x00\r\n"), UpstreamError),
        (Send("* OK [CAPABILITY POP3] odd\r\n"), UpstreamError),
        (Send("\r\n"), UpstreamError),
        (EndlessLine(400_000), UpstreamUnreachable),
    ],
    ids=repr,
)
def test_a_greeting_that_is_none(fake: FakeImap, fault: Fault, kind: type[GatewayError]) -> None:
    fake.on("GREETING", fault)
    error = failure(Endpoint("127.0.0.1", fake.imap_port, TlsMode.NONE), HASTY)
    assert isinstance(error, kind)
    assert not {"LOGIN", "AUTHENTICATE"} & set(fake.verbs)


def test_plain_imap_where_tls_is_expected_says_so(fake: FakeImap) -> None:
    error = failure(Endpoint("127.0.0.1", fake.imap_port, TlsMode.IMPLICIT))
    assert isinstance(error, UpstreamUnreachable)
    assert "imaps:// is wrong here" in str(error)


def test_tls_where_plain_imap_is_expected(secure_fake: FakeImap) -> None:
    endpoint = Endpoint("localhost", secure_fake.imaps_port or 0, TlsMode.STARTTLS)
    error = failure(endpoint, replace(PATIENT, connect=HASTY.connect))
    assert type(error) is UpstreamSilent
    assert str(error).endswith(
        "no answer in time: the server says nothing; if this port begins with TLS, write imaps://"
    )


# The host


@pytest.fixture
def full() -> Iterator[int]:
    """A port that answers no connection: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        yield port
        for sock in waiting:
            sock.close()


def test_a_host_that_does_not_answer_is_waited_for_so_long(full: int) -> None:
    assert type(failure(Endpoint("127.0.0.1", full, TlsMode.NONE), HASTY)) is UpstreamSilent


def test_a_port_where_nobody_listens(fake: FakeImap) -> None:
    fake.down()
    error = failure(Endpoint("127.0.0.1", fake.imap_port, TlsMode.NONE))
    assert type(error) is UpstreamUnreachable
    assert f"connecting to 127.0.0.1:{fake.imap_port}: the connection was refused" in str(error)
    fake.up()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "", "a..b", "x" * 64 + ".example", "two words", "\x00"])
def test_a_name_that_no_host_has(host: str) -> None:
    assert isinstance(failure(Endpoint(host, 1, TlsMode.NONE)), UpstreamError)


def test_each_address_of_a_host_gets_a_share_of_the_time(
    secure_fake: FakeImap, monkeypatch: pytest.MonkeyPatch, full: int
) -> None:
    """The first one is dead, as IPv6 often is: the second one must still have time to answer."""
    secure_fake.on("TLS", Delay(0.1, done=False))
    endpoint = secured(secure_fake, TlsMode.IMPLICIT)
    ports = (full, endpoint.port)
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: addresses)
    say_goodbye(connect(endpoint, Timeouts(1, 5, 10)))
    assert secure_fake.connections[0].secure


def test_a_farewell_never_fails(fake: FakeImap) -> None:
    client = connect(Endpoint("127.0.0.1", fake.imap_port, TlsMode.NONE), PATIENT)
    fake.drop()
    say_goodbye(client)
    say_goodbye(client)


# Looking, for `check`


async def test_check_sees_greeting_protection_and_capabilities(secure_fake: FakeImap) -> None:
    greeting = greet(secured(secure_fake, TlsMode.STARTTLS), PATIENT)
    assert greeting.text.startswith("OK ")
    assert greeting.protection.startswith("TLSv1.")
    assert "UIDPLUS" in greeting.capabilities
    assert secure_fake.verbs == ["STARTTLS", "CAPABILITY", "LOGOUT"]


async def test_check_looks_into_the_mailbox_and_changes_nothing(fake: FakeImap, upstream: Upstream) -> None:
    before = fake.messages("ann")
    found = look(upstream.account(), PATIENT)
    assert "UIDPLUS" in found.capabilities
    assert len(found.snapshot) == 3
    assert fake.messages("ann") == before
    assert fake.verbs == ["LOGIN", "SELECT", "UID FETCH", "LOGOUT"]
