"""TLS 1.0 for the device that needs it, where the operator said so, and nowhere else."""

import socket
import ssl
import subprocess
import warnings

import pytest

from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox

OLD = {"url": "pop3s://127.0.0.1:0", "min_version": "TLSv1"}
OLD_STLS = "pop3://127.0.0.1:0?min_version=TLSv1"
NEW = "pop3s://127.0.0.1:0"
NEW_STLS = "pop3://127.0.0.1:0"
TOLD = "old TLS is allowed here, which others may be able to read"


def talk(port: int, *options: str) -> "subprocess.CompletedProcess[bytes]":
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", *options]
    return subprocess.run(command, input=b"CAPA\r\nQUIT\r\n", capture_output=True, timeout=30)


def device(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Speaks this version and no other, and does not look at certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


def spoken(gateway: GatewayProcess, version: ssl.TLSVersion, mailbox: Mailbox) -> str | None:
    """By the pop3 listener, after STLS; a login is part of it."""
    with RawClient(gateway.port) as client:
        assert client.ask("STLS").startswith(b"+OK")
        client.socket = device(version).wrap_socket(client.socket)
        client._file = client.socket.makefile("rb")
        assert client.log_in(mailbox).startswith(b"+OK")
        return client.socket.version()


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"])
def test_an_old_device_is_served_and_new_ones_are_too(
    start_gateway: StartGateway, mailbox: Mailbox, version: str
) -> None:
    gateway = start_gateway(mailbox.server, listen=[OLD, NEW_STLS])
    done = talk(gateway.tls_port, version, "-cipher", "DEFAULT@SECLEVEL=0")
    assert b" PLAIN LOGIN" in done.stdout, done.stderr


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_not_by_another_listener(start_gateway: StartGateway, mailbox: Mailbox, version: str) -> None:
    gateway = start_gateway(mailbox.server, listen=[NEW, OLD_STLS])
    done = talk(gateway.tls_port, version, "-cipher", "DEFAULT@SECLEVEL=0")
    assert done.stdout == b""
    assert "older than min_version" in gateway.wait_for("TLS handshake failed")["why"]
    done = talk(gateway.port, version, "-cipher", "DEFAULT@SECLEVEL=0", "-starttls", "pop3")
    assert b" PLAIN LOGIN" in done.stdout, done.stderr


def test_old_ciphers_are_for_that_listener_only(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server, listen=[OLD, NEW_STLS])
    cbc = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"]
    assert b" PLAIN LOGIN" in talk(gateway.tls_port, *cbc).stdout
    assert b" PLAIN LOGIN" not in talk(gateway.port, *cbc, "-starttls", "pop3").stdout


def test_a_login_over_tls_1_0_works(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server, listen=[OLD_STLS, NEW])
    assert spoken(gateway, ssl.TLSVersion.TLSv1, mailbox) == "TLSv1"
    assert gateway.wait_for("logged in")["tls"] == "TLSv1"  # or nobody knew which device still needs it


def test_it_is_told_at_the_start_of_that_listener_and_of_no_other(
    start_gateway: StartGateway, mailbox: Mailbox
) -> None:
    gateway = start_gateway(mailbox.server, listen=[OLD, NEW_STLS])  # it has said that the second one listens
    warned = [event for event in gateway.events if event["event"] == TOLD and event["level"] == "warning"]
    assert [(event["listener"], event["min_version"]) for event in warned] == [
        (f"pop3s://127.0.0.1:{gateway.tls_port}", "TLSv1")
    ]


def test_a_listener_may_also_want_newer_tls_than_the_others(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    listen = [{"url": NEW, "min_version": "TLSv1.3"}, NEW_STLS]
    gateway = start_gateway(mailbox.server, listen=listen)
    assert b" PLAIN LOGIN" not in talk(gateway.tls_port, "-tls1_2").stdout
    assert b" PLAIN LOGIN" in talk(gateway.port, "-tls1_2", "-starttls", "pop3").stdout
    assert TOLD not in gateway.raw_log


def test_why_a_client_did_not_come_in_is_told(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server)
    address = "127.0.0.1", gateway.tls_port
    with socket.create_connection(address) as trusting, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(trusting, server_hostname="127.0.0.1")
    told = gateway.wait_for("TLS handshake failed")
    assert (told["why"], told["level"]) == ("the client does not trust our certificate", "info")
    with socket.create_connection(address) as plain:
        plain.sendall(b"USER ann\r\n" * 10)
        assert "does not begin with TLS" in gateway.wait_for("TLS handshake failed")["why"]
