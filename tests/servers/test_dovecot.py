"""What tests may ask of Dovecot, beyond what every server behind the gateway has to do."""

import imaplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.servers import daemon, tls
from tests.servers.clients import imaps, session, trusting
from tests.servers.dovecot import CAPABILITY, Dovecot, without
from tests.servers.fixtures import Mailbox, new_mailbox, requires
from tests.servers.machine import free_ports, processes
from tests.servers.messages import GALLERY
from tests.servers.tls import Certificates


def test_dovecot_changes_only_bare_lf_and_nul(mailbox: Mailbox) -> None:
    """Over IMAP; in POP3 too it shows CRLF. A bare CR stays as it is."""
    mailbox.deliver(list(GALLERY.values()))
    shown = dict(zip(GALLERY, mailbox.messages(), strict=True))
    changed = {name for name in GALLERY if shown[name].octets != GALLERY[name]}
    assert changed == {"bare-lf", "mixed-ends", "nul"}
    assert shown["bare-lf"].octets == b"Subject: unix\r\n\r\none\r\n.\r\n..two\r\n\r\nthree\r\n"
    assert shown["nul"].octets.endswith(b"\r\n\r\nbefore\x80after\r\n\x80\r\n")


# Start and stop


@pytest.fixture
def started(certificates: Certificates) -> Iterator[Callable[..., Dovecot]]:
    """Start a Dovecot with options of the test's choice."""
    requires("dovecot", "dovecot-imapd")
    running: list[Dovecot] = []

    def start(**options: object) -> Dovecot:
        running.append(Dovecot(certificates, **options))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for server in running:
        server.stop()


def test_dovecot_leaves_no_process_and_no_file(started: Callable[..., Dovecot]) -> None:
    server = started()
    mailbox = new_mailbox(server)
    group = server.process_group
    assert group is not None
    with session(mailbox):
        assert len(processes(group)) > 3
        server.stop()
    assert processes(group) == set()
    assert server.process_group is None
    assert f"Login: user=<{mailbox.user}>" in server.log
    assert not server._folder.exists()


def test_dovecot_comes_back_with_its_mail(started: Callable[..., Dovecot]) -> None:
    server = started()
    mailbox = new_mailbox(server)
    mailbox.deliver([b"one\r\n", b"two\r\n"])
    before, validity = mailbox.messages(), mailbox.uid_validity()
    with session(mailbox) as client:
        server.down()
        with pytest.raises(imaplib.IMAP4.abort, match="Server shutting down"):
            client.noop()
    with pytest.raises(ConnectionRefusedError):
        mailbox.messages()
    server.up()
    assert mailbox.messages() == before
    assert mailbox.uid_validity() == validity


def test_dovecot_says_why_it_does_not_start(started: Callable[..., Dovecot]) -> None:
    with pytest.raises(RuntimeError, match="Unknown setting: nonsense"):
        started(extra="nonsense = yes")


def test_dovecot_moves_on_when_a_port_is_taken(
    started: Callable[..., Dovecot], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        free = iter([[taken, *free_ports("127.0.0.1", 1)], free_ports("127.0.0.1", 2)])
        monkeypatch.setattr(daemon, "free_ports", lambda *_: next(free))
        server = started()
    assert server.imap_port != taken
    assert new_mailbox(server).messages() == []


# Options


def test_dovecot_hides_capabilities(started: Callable[..., Dovecot]) -> None:
    server = started(capability=without("UIDPLUS", "LITERAL+"))
    mailbox = new_mailbox(server)
    with server.client(mailbox.user) as client:
        shown = client.capability()[1][0].split()
    assert b"IMAP4rev1" in shown
    assert not {b"UIDPLUS", b"LITERAL+"} & set(shown)
    # Hidden or not, they are there.
    mailbox.expunge(mailbox.deliver([b"one\r\n"]))


def test_dovecot_has_the_capabilities_known_here(dovecot: Dovecot, mailbox: Mailbox) -> None:
    with dovecot.client(mailbox.user) as client:
        assert set(CAPABILITY.encode().split()) <= set(client.capability()[1][0].split())


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5"])
def test_dovecot_with_one_mechanism(started: Callable[..., Dovecot], mechanism: str) -> None:
    server = started(auth_mechanisms=mechanism)
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        shown = [name for name in client.capabilities if name.startswith("AUTH=")]
    assert shown == [f"AUTH={mechanism.upper()}"]
    assert new_mailbox(server).messages() == []


def test_dovecot_without_plaintext_authentication(started: Callable[..., Dovecot]) -> None:
    server = started(disable_plaintext_auth=True)
    mailbox = new_mailbox(server)
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        assert "LOGINDISABLED" in client.capabilities
        with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
            client.login(mailbox.user, mailbox.password)
        client.starttls(trusting(server))
        client.login(mailbox.user, mailbox.password)
    assert mailbox.messages() == []


def test_dovecot_refuses_late_when_told_to(started: Callable[..., Dovecot]) -> None:
    server = started(auth_failure_delay=1)
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        begin = time.monotonic()
        for _ in range(2):  # the first answer may come half a second early
            with pytest.raises(imaplib.IMAP4.error):
                client.login("nobody", "wrong")
        assert time.monotonic() - begin > 1


def test_dovecot_takes_a_new_password(dovecot: Dovecot, mailbox: Mailbox) -> None:
    dovecot.add_user(mailbox.user, "another")
    with imaplib.IMAP4(dovecot.host, dovecot.imap_port) as client:
        with pytest.raises(imaplib.IMAP4.error):
            client.login(mailbox.user, mailbox.password)
        client.login(mailbox.user, "another")


@pytest.mark.parametrize(
    ("names", "lifetime", "complaint"),
    [
        (["other.example"], timedelta(days=2), "Hostname mismatch"),
        (tls.LOCAL, timedelta(days=-1), "certificate has expired"),
    ],
)
def test_certificate_for_another_host_or_another_day(
    tmp_path: Path, names: list[str], lifetime: timedelta, complaint: str
) -> None:
    requires("dovecot", "dovecot-imapd")
    with (
        Dovecot(tls.make(tmp_path, names, lifetime=lifetime)) as server,
        pytest.raises(ssl.SSLCertVerificationError, match=complaint),
    ):
        imaps(server, trusting(server))
