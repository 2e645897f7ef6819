"""EXTERNAL: a certificate of the right authority opens the stored account that has its name, and nothing else."""

import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.accounts import made
from gateway.app.state import vault_of
from gateway.config import load
from gateway.sasl import Secret
from tests.clients.client import Site, Tls
from tests.clients.mpop import Mpop
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, requires
from tests.servers.tls import Authority, Certificates

MESSAGE = b"Subject: by certificate\r\n\r\nhello\r\n"
SCANS = b"Subject: scanned\r\n\r\n"
DEVICE = "Scanner@example.org"
LOGIN_DENIED, SSL_FAILED = 67, 56  # CURLE_


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(folder(tmp_path / "clients"))


@pytest.fixture
def gateway(start_gateway: StartGateway, mailbox: Mailbox, authority: Authority, tmp_path: Path) -> GatewayProcess:
    """With an account for the device, and one for a clerk, before the same mailbox."""
    state = tmp_path / "kept"
    with vault_of(load(None, {}, {("upstream",): "imaps://localhost", ("state",): str(state)})) as vault:
        for login, seen in ((DEVICE, "INBOX"), ("clerk", "Scans")):
            account = made.new_account(
                login, Secret(mailbox.password), time.time(), user=mailbox.user, folder=seen
            )
            vault.add(account)
    mailbox.deliver([MESSAGE])
    mailbox.deliver([SCANS], "Scans")
    listen = [
        {"url": "pop3s://127.0.0.1:0", "client_ca_file": str(authority.ca_file)},
        f"pop3://127.0.0.1:0?client_ca_file={authority.ca_file}",
    ]
    return start_gateway(mailbox.server, listen=listen, state=str(state))


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def curl(
    url: str, server: Certificates, *options: str, name: str = "", certificate: Path | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """As whom, with which certificate."""
    shown = ["--cert", str(certificate)] if certificate else []
    command = [
        requires("curl", "curl"),
        "-q",
        "-sv",
        "--cacert",
        str(server.ca_file),
        *shown,
        "--user",
        f"{name}:",
    ]
    return subprocess.run([*command, *options, url], capture_output=True, timeout=60)


def external(
    gateway: GatewayProcess, server: Certificates, certificate: Path | None, name: str = "", *options: str
) -> "subprocess.CompletedProcess[bytes]":
    """The first message, by curl."""
    url = f"pop3s://localhost:{gateway.tls_port}/1"
    return curl(url, server, "--login-options", "AUTH=EXTERNAL", *options, name=name, certificate=certificate)


@pytest.mark.parametrize(
    "names",
    [
        {"addresses": [DEVICE]},
        {"addresses": ["someone@else.example", DEVICE.lower()]},
        {"subject_address": DEVICE},
        {"common_name": DEVICE},
    ],
)
def test_curl_fetches_by_certificate(
    gateway: GatewayProcess,
    authority: Authority,
    certificates: Certificates,
    tmp_path: Path,
    names: dict[str, str],
) -> None:
    certificate = authority.client(tmp_path / "client.pem", **names)  # type: ignore[arg-type]
    for wanted, *options in (("",), (DEVICE,), ("", "--sasl-ir"), (DEVICE, "--sasl-ir")):
        done = external(gateway, certificates, certificate, wanted, *options)
        assert done.stdout == MESSAGE, done.stderr
    assert gateway.wait_for("logged in")["tls"] == "TLSv1.3"


@pytest.mark.parametrize("tls", ["pop3s", "stls"])
def test_mpop_does_so_too(
    tls: Tls,
    gateway: GatewayProcess,
    mailbox: Mailbox,
    certificates: Certificates,
    authority: Authority,
    tmp_path: Path,
) -> None:
    shown = authority.client(tmp_path / "client.pem", addresses=[DEVICE])
    options = [f"--tls-cert-file={shown}", f"--tls-key-file={shown}", "--only-new=off", "--keep=on"]
    site = Site(gateway.port, gateway.tls_port, certificates.ca_file)
    device = Mailbox(mailbox.server, DEVICE, "")
    messages, said = Mpop(folder(tmp_path / "home")).fetch(site, device, *options, tls=tls, auth="external")
    assert messages == [MESSAGE]
    assert "--> AUTH EXTERNAL" in said


def test_after_stls_too(
    gateway: GatewayProcess, authority: Authority, certificates: Certificates, tmp_path: Path
) -> None:
    certificate = authority.client(tmp_path / "client.pem", addresses=[DEVICE])
    url = f"pop3://localhost:{gateway.port}/1"
    options = ("--ssl-reqd", "--login-options", "AUTH=EXTERNAL")
    done = curl(url, certificates, *options, name=DEVICE, certificate=certificate)
    assert done.stdout == MESSAGE, done.stderr


def test_who_has_several_names_says_which(
    gateway: GatewayProcess, authority: Authority, certificates: Certificates, tmp_path: Path
) -> None:
    both = authority.client(tmp_path / "both.pem", addresses=[DEVICE], common_name="clerk")
    assert external(gateway, certificates, both, "clerk").stdout == SCANS
    assert gateway.wait_for("logged in")["user"] == "clerk"
    assert external(gateway, certificates, both, DEVICE).stdout == MESSAGE
    assert external(gateway, certificates, both).stdout == MESSAGE


def test_nobody_is_whom_the_certificate_does_not_name(
    gateway: GatewayProcess, authority: Authority, certificates: Certificates, tmp_path: Path
) -> None:
    one = authority.client(tmp_path / "client.pem", addresses=[DEVICE])
    assert external(gateway, certificates, one, "clerk").returncode == LOGIN_DENIED
    assert gateway.wait_for("login failed")["error"] == "the certificate is not for this name"
    unknown = authority.client(tmp_path / "unknown.pem", addresses=["nobody@example.org"])
    assert external(gateway, certificates, unknown).returncode == LOGIN_DENIED
    assert "nobody@example.org or A device" in gateway.wait_for("login failed")["error"]


def test_without_a_certificate_passwords_work_and_external_is_not_offered(
    gateway: GatewayProcess, mailbox: Mailbox, certificates: Certificates
) -> None:
    with RawClient(gateway.tls_port, tls=certificates.ca_file) as client:
        told = client.message("CAPA")
        assert b" PLAIN LOGIN\r\n" in told
        assert client.ask("AUTH EXTERNAL =").startswith(b"-ERR this mechanism is not offered")
        assert client.log_in(mailbox).startswith(b"+OK")


def test_a_certificate_says_nothing_before_tls(gateway: GatewayProcess) -> None:
    with RawClient(gateway.port) as client:
        assert b"EXTERNAL" not in client.message("CAPA")


def test_a_certificate_is_worth_nothing_on_a_listener_that_names_no_authority(
    start_gateway: StartGateway, mailbox: Mailbox, authority: Authority, certificates: Certificates, tmp_path: Path
) -> None:
    gateway = start_gateway(mailbox.server)
    done = external(gateway, certificates, authority.client(tmp_path / "client.pem", addresses=[DEVICE]))
    assert done.returncode != 0
    assert b" PLAIN LOGIN\r\n" in done.stderr


@pytest.mark.parametrize("fault", ["another authority", "expired", "a server's"])
def test_a_certificate_that_is_not_good_ends_the_connection_and_is_told(
    gateway: GatewayProcess, authority: Authority, certificates: Certificates, tmp_path: Path, fault: str
) -> None:
    """A client that shows one wants to be who it says; what it says next may be a secret."""
    file = tmp_path / "client.pem"
    shown = {
        "another authority": lambda: Authority(folder(tmp_path / "other")).client(file, addresses=[DEVICE]),
        "expired": lambda: authority.client(file, addresses=[DEVICE], lifetime=timedelta(days=-1)),
        "a server's": lambda: _of_a_server(authority, file),
    }[fault]()
    done = external(gateway, certificates, shown)
    assert done.returncode == SSL_FAILED, done.stderr
    assert done.stdout == b""
    told = gateway.wait_for("login failed", level="warning")
    said = {"another authority": "local issuer", "expired": "has expired", "a server's": "purpose"}[fault]
    assert told["address"] == "127.0.0.1"
    assert "the client's certificate: " in told["error"]
    assert said in told["error"]


def test_new_authorities_are_taken_without_a_restart(
    gateway: GatewayProcess, authority: Authority, certificates: Certificates, tmp_path: Path
) -> None:
    other = Authority(folder(tmp_path / "other"))
    certificate = other.client(tmp_path / "client.pem", addresses=[DEVICE])
    assert external(gateway, certificates, certificate).returncode == SSL_FAILED
    other.ca_file.replace(authority.ca_file)
    gateway.wait_for("certificate reloaded")  # within the time of a sweep
    assert external(gateway, certificates, certificate).stdout == MESSAGE


def _of_a_server(authority: Authority, file: Path) -> Path:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DEVICE)])
    file.write_bytes(b"".join(authority.sign(subject, [], ExtendedKeyUsageOID.SERVER_AUTH, timedelta(days=20))))
    return file
