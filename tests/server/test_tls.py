"""TLS towards clients: STLS and POP3S over real sockets."""

import signal
import socket
import ssl
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.server.pair import Pair
from gateway.server.tls import WARN_SECONDS, ServerTls, TlsTerms
from gateway.server.wire import GOODBYE_LOOK_SECONDS
from gateway.telemetry.events import CertificateUnusable, Event
from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.servers import tls
from tests.servers.fixtures import Mailbox
from tests.servers.messages import large
from tests.servers.tls import Certificates


def test_stls_and_pop3s_serve_the_configured_certificate(
    start_gateway: StartGateway, mailbox: Mailbox, certificates: Certificates
) -> None:
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as client:
        assert client.ask("STLS") == b"+OK begin TLS"
        client.start_tls(certificates.ca_file)
        assert client.log_in(mailbox).startswith(b"+OK")
    gateway.wait_for("session ended")
    with RawClient(gateway.tls_port, tls=certificates.ca_file) as client:
        assert client.log_in(mailbox).startswith(b"+OK")


def test_what_is_pipelined_behind_stls_is_never_obeyed(
    start_gateway: StartGateway, mailbox: Mailbox, certificates: Certificates
) -> None:
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as client:
        client.send(b"STLS\r\nUSER mallory\r\n")
        assert client.line() == b"+OK begin TLS"
        client.start_tls(certificates.ca_file)
        assert client.ask(f"PASS {mailbox.password}") == b"-ERR send USER first"


def test_plaintext_sent_in_the_middle_of_stls_ends_the_connection(
    start_gateway: StartGateway, mailbox: Mailbox
) -> None:
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as client:
        assert client.ask("STLS") == b"+OK begin TLS"
        client.send(b"USER mallory\r\nPASS x\r\n")
        gateway.wait_for("connection ended without a login")
    assert "TLS handshake failed" in gateway.raw_log


def test_a_slow_client_has_everything_before_the_connection_ends(
    start_gateway: StartGateway, mailbox: Mailbox, certificates: Certificates
) -> None:
    """And one that has it, and says no farewell, is not waited for any longer."""
    message = large(200_000)
    mailbox.deliver([message])
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.tls_port, tls=certificates.ca_file) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        client.log_in(mailbox)
        client.send(b"RETR 1\r\nQUIT\r\n")
        time.sleep(3 * GOODBYE_LOOK_SECONDS)
        assert client.line().startswith(b"+OK")
        assert b"".join(client.body()) == message
        assert client.line().startswith(b"+OK")
        assert gateway.wait_for("session ended")["how"] == "QUIT"


def test_a_user_given_before_tls_is_forgotten(
    start_gateway: StartGateway, mailbox: Mailbox, certificates: Certificates
) -> None:
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as client:
        client.ask(f"USER {mailbox.user}")
        client.ask("STLS")
        client.start_tls(certificates.ca_file)
        assert client.ask(f"PASS {mailbox.password}") == b"-ERR send USER first"


def test_tls_older_than_configured_is_refused(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server, tls={"min_version": "TLSv1.3"})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with RawClient(gateway.port) as client:
        client.ask("STLS")
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(client.socket.dup())


def test_without_a_certificate_one_is_made_kept_and_closed_to_others(
    start_gateway: StartGateway, mailbox: Mailbox, tmp_path: Path
) -> None:
    state = tmp_path / "kept"
    first = start_gateway(mailbox.server, tls={}, state=str(state))
    file = state / "tls" / "self-signed.pem"
    assert "self-signed" in first.raw_log
    assert file.stat().st_mode & 0o777 == 0o600
    with RawClient(first.tls_port, tls=file) as client:
        assert client.greeting.startswith(b"+OK")
    first.stop()
    second = start_gateway(mailbox.server, tls={}, state=str(state))
    assert "self-signed" not in second.raw_log
    with RawClient(second.tls_port, tls=file) as client:
        assert client.greeting.startswith(b"+OK")


def test_openssl_s_client_speaks_stls_with_us(
    start_gateway: StartGateway, mailbox: Mailbox, certificates: Certificates
) -> None:
    gateway = start_gateway(mailbox.server)
    done = subprocess.run(
        ["openssl", "s_client", "-starttls", "pop3", "-connect", f"127.0.0.1:{gateway.port}", "-quiet",
         "-verify_return_error", "-verify_hostname", "localhost", "-CAfile", str(certificates.ca_file)],
        input=b"CAPA\r\nQUIT\r\n", capture_output=True, timeout=30,
    )  # fmt: skip
    assert b" PLAIN LOGIN" in done.stdout
    assert b"STLS" not in done.stdout
    assert done.returncode == 0


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    made = tls.make(_folder(tmp_path / "a"))
    events: list[Event] = []
    served = ServerTls(Pair(made.cert_file, made.key_file), [TlsTerms()], events.append)
    renewed = tls.make(_folder(tmp_path / "b"))
    made.cert_file.write_bytes(renewed.cert_file.read_bytes())
    served.look()
    assert type(events[-1]).__name__ == "CertificateUnusable"  # the key is still the old one
    time.sleep(0.01)
    made.key_file.write_bytes(renewed.key_file.read_bytes())
    served.look()
    assert type(events[-1]).__name__ == "CertificateReloaded"


def test_a_renewed_key_that_is_encrypted_leaves_the_old_certificate_in_place(tmp_path: Path) -> None:
    made = tls.make(tmp_path)
    events: list[Event] = []
    served = ServerTls(Pair(made.cert_file, made.key_file), [TlsTerms()], events.append)
    before = served.context(TlsTerms())
    command = ["openssl", "pkcs8", "-topk8", "-in", str(made.key_file), "-out", "new.pem", "-passout", "pass:x"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    (tmp_path / "new.pem").replace(made.key_file)
    served.reload()
    assert isinstance(events[-1], CertificateUnusable)
    assert "the key is encrypted" in events[-1].error
    assert served.context(TlsTerms()) is before


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (20, []),
        (13, ["the certificate ends soon: renew it"]),
        (-1, ["the certificate has ended: clients refuse it"]),
    ],
)
def test_a_certificate_that_ends_is_told_of_once_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, told: list[str]
) -> None:
    made = tls.make(tmp_path, lifetime=timedelta(days=days))
    events: list[Event] = []
    served = ServerTls(Pair(made.cert_file, made.key_file), [TlsTerms()], events.append)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(3):
        served.look()
    assert [event.name.partition(" until")[0] for event in events] == told
    now += WARN_SECONDS
    served.look()
    assert [event.name.partition(" until")[0] for event in events] == told * 2


def test_the_gateway_warns_of_a_certificate_that_has_ended_and_serves(
    start_gateway: StartGateway, mailbox: Mailbox, tmp_path: Path
) -> None:
    made = tls.make(tmp_path, lifetime=timedelta(days=-1))
    named = {"certificate": str(made.cert_file), "key": str(made.key_file)}
    gateway = start_gateway(mailbox.server, tls=named)
    gateway.wait_for("the certificate has ended: clients refuse it until it is renewed", level="error")
    with RawClient(gateway.port) as client:
        assert client.log_in(mailbox).startswith(b"+OK")


def test_sighup_reads_the_certificate_anew_and_ends_no_session(
    start_gateway: StartGateway, mailbox: Mailbox, tmp_path: Path
) -> None:
    made = tls.make(tmp_path)
    named = {"certificate": str(made.cert_file), "key": str(made.key_file)}
    gateway = start_gateway(mailbox.server, tls=named)
    with RawClient(gateway.port) as client:
        assert client.log_in(mailbox).startswith(b"+OK")
        gateway.signal(signal.SIGHUP)
        gateway.wait_for("certificate reloaded", path=str(made.cert_file))
        assert client.ask("NOOP") == b"+OK"
    assert gateway.stop() == 0


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
