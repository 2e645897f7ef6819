"""Real clients with an app password, and each mechanism that they have."""

import base64
import hashlib
import poplib
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from scramp import ScramClient

from tests.clients.client import Failed, Site
from tests.clients.curl import Curl
from tests.clients.fetchmail import Fetchmail
from tests.clients.getmail import Getmail
from tests.clients.mpop import Mpop
from tests.clients.python import Python
from tests.gateway_process import GatewayProcess
from tests.servers.fixtures import Mailbox

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"

CURL = {
    "PLAIN": "AUTH PLAIN",
    "LOGIN": "AUTH LOGIN",
    "CRAM-MD5": "AUTH CRAM-MD5",
    "+APOP": "APOP",
}
MPOP = {
    "user": "PASS",
    "plain": "AUTH PLAIN",
    "login": "AUTH LOGIN",
    "apop": "APOP",
    "cram-md5": "AUTH CRAM-MD5",
    "scram-sha-1": "AUTH SCRAM-SHA-1",
    "scram-sha-256": "AUTH SCRAM-SHA-256",
}


@pytest.fixture(autouse=True)
def message(mailbox: Mailbox) -> None:
    mailbox.deliver([MESSAGE])


@pytest.mark.parametrize("kind", [Curl, Fetchmail, Getmail, Mpop, Python])
def test_each_client_as_it_comes(
    kind: type[Curl | Fetchmail | Getmail | Mpop | Python], stored_site: Site, device: Mailbox, home: Path
) -> None:
    """curl and mpop take the strongest that they find, the others USER and PASS."""
    client = kind(home)
    arrived = client.fetch_all(stored_site, device, tls="pop3s", delete=True)
    assert arrived == [client.as_stored(MESSAGE)]
    assert device.messages() == []


@pytest.mark.parametrize("mechanism", CURL)
def test_curl(mechanism: str, stored_site: Site, device: Mailbox, home: Path) -> None:
    client = Curl(home)
    assert client.ask(stored_site, device, "1", f'login-options = "AUTH={mechanism}"') == MESSAGE
    assert f"> {CURL[mechanism]}" in client.said


@pytest.mark.parametrize("mechanism", MPOP)
@pytest.mark.parametrize("tls", ["stls", "none"])
def test_mpop(mechanism: str, tls: str, stored_site: Site, device: Mailbox, home: Path) -> None:
    messages, said = Mpop(home).fetch(stored_site, device, tls=tls, auth=mechanism)  # type: ignore[arg-type]
    assert messages == [MESSAGE]
    assert f"--> {MPOP[mechanism]}" in said


@pytest.mark.parametrize(("option", "command"), [("", "AUTH CRAM-MD5"), ("auth password", "USER")])
def test_fetchmail(option: str, command: str, stored_site: Site, device: Mailbox, home: Path) -> None:
    client = Fetchmail(home)
    messages, said = client.fetch(stored_site, device, "keep fetchall", server=option)
    assert messages == [client.as_stored(MESSAGE)]
    assert f"POP3> {command}" in said


def test_fetchmail_by_apop(stored_site: Site, device: Mailbox, home: Path) -> None:
    client = Fetchmail(home)
    messages, said = client.fetch(stored_site, device, "keep fetchall", tls="none", protocol="apop")
    assert messages == [client.as_stored(MESSAGE)]
    assert f"POP3> APOP {device.user}" in said


def test_poplib_by_apop(stored_site: Site, device: Mailbox) -> None:
    client = poplib.POP3(stored_site.host, stored_site.port, timeout=30)
    assert client.apop(device.user, device.password).startswith(b"+OK")
    assert client.stat() == (1, len(MESSAGE))
    client.quit()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])
@pytest.mark.parametrize(
    ("version", "binding"),
    [
        (ssl.TLSVersion.TLSv1_2, "tls-unique"),
        (ssl.TLSVersion.TLSv1_2, "tls-server-end-point"),
        (ssl.TLSVersion.TLSv1_3, "tls-server-end-point"),
    ],
)
def test_scramp_bound_to_the_channel(
    mechanism: str, version: ssl.TLSVersion, binding: str, stored_site: Site, device: Mailbox
) -> None:
    context = ssl.create_default_context(cafile=str(stored_site.ca_file))
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection((stored_site.host, stored_site.tls_port), 30) as plain,
        context.wrap_socket(plain, server_hostname=stored_site.host) as sock,
        sock.makefile("rb") as lines,
    ):
        lines.readline()
        client = ScramClient(
            [mechanism], device.user, device.password, channel_binding=(binding, _bound(binding, sock))
        )
        first = base64.b64encode(client.get_client_first().encode()).decode()
        sock.sendall(f"AUTH {mechanism} {first}\r\n".encode())
        client.set_server_first(_decoded(lines.readline()))
        sock.sendall(base64.b64encode(client.get_client_final().encode()) + b"\r\n")
        client.set_server_final(_decoded(lines.readline()))
        sock.sendall(b"\r\n")
        assert lines.readline().startswith(b"+OK")


def _bound(binding: str, sock: ssl.SSLSocket) -> bytes:
    """The client's own view of the channel: RFC 5929."""
    if binding == "tls-unique":
        unique = sock.get_channel_binding("tls-unique")
        assert unique
        return unique
    certificate = sock.getpeercert(binary_form=True)
    assert certificate
    return hashlib.sha256(certificate).digest()  # what our authority signs with


def _decoded(line: bytes) -> str:
    assert line.startswith(b"+ "), line
    return base64.b64decode(line[2:]).decode()


@pytest.mark.parametrize("mechanism", ["user", "apop", "cram-md5", "scram-sha-256"])
def test_a_wrong_password_is_refused(mechanism: str, stored_site: Site, device: Mailbox, home: Path) -> None:
    with pytest.raises(Failed, match="AUTH"):
        Mpop(home).fetch(stored_site, replace(device, password="wrong"), auth=mechanism)


def test_the_mailboxs_own_password_opens_nothing(stored_site: Site, device: Mailbox, mailbox: Mailbox) -> None:
    client = poplib.POP3(stored_site.host, stored_site.port, timeout=30)
    client.user(device.user)
    with pytest.raises(poplib.error_proto, match="AUTH"):
        client.pass_(mailbox.password)
    client.close()


@pytest.mark.pass_through
def test_what_is_offered_is_what_works(stored_site: Site, site: Site) -> None:
    plain, tls = _offered(stored_site.port), _offered(stored_site.tls_port, stored_site.ca_file)
    assert {"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"} == set(plain)
    assert set(tls) == {*plain, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"}
    assert set(_offered(site.tls_port, site.ca_file)) == {"PLAIN", "LOGIN"}
    client = poplib.POP3(site.host, site.port, timeout=30)
    assert client.getwelcome() == b"+OK pop3-gateway ready"  # without a stamp: there is no APOP
    client.quit()


def _offered(port: int, ca_file: Path | None = None) -> list[str]:
    if ca_file is None:
        client = poplib.POP3("localhost", port, timeout=30)
    else:
        client = poplib.POP3_SSL("localhost", port, context=ssl.create_default_context(cafile=str(ca_file)))
    offered = client.capa()["SASL"]
    client.quit()
    return offered


def test_no_secret_is_in_the_state_or_the_log(
    stored_gateway: GatewayProcess, stored_site: Site, device: Mailbox, mailbox: Mailbox, home: Path
) -> None:
    client = Mpop(home)
    for mechanism in MPOP:
        client.fetch(stored_site, device, auth=mechanism)
    state = stored_gateway.config.parent / "state"
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert device.user.encode() in kept  # or there would be nothing to look for
    for secret in (device.password, mailbox.password):
        assert secret.encode() not in kept
        assert base64.b64encode(secret.encode()) not in kept
        assert secret not in stored_gateway.raw_log
