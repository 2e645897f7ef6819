"""Gateways that all tests of this folder share: each test has a mailbox and a home folder of its own."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.clients.client import Site
from tests.gateway_process import GatewayProcess, settings_for
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox
from tests.servers.tls import Certificates


@pytest.fixture(scope="session")
def gateway(
    dovecot: Dovecot, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    with _running(settings_for(dovecot, certificates, folder), folder) as process:
        yield process


@pytest.fixture(scope="session")
def cut_off_gateway(
    dovecot: Dovecot, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("cut-off-gateway")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # it does not listen: connections are refused, and nobody else gets the port
        upstream = {"url": f"imaps://127.0.0.1:{nobody.getsockname()[1]}", "ca_file": str(certificates.ca_file)}
        with _running(settings_for(dovecot, certificates, folder, upstream=upstream), folder) as process:
            yield process


@pytest.fixture(scope="session")
def stored_gateway(
    dovecot: Dovecot, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """With accounts of its own only, and passwords that APOP and CRAM-MD5 can use."""
    folder = tmp_path_factory.mktemp("stored-gateway")
    accounts = {"pass_through": False, "readable_passwords": True}
    with _running(settings_for(dovecot, certificates, folder, accounts=accounts), folder) as process:
        yield process


@pytest.fixture
def device(stored_gateway: GatewayProcess, mailbox: Mailbox) -> Mailbox:
    """The mailbox as a device knows it: with an app password."""
    told = stored_gateway.account("add", mailbox.user, "--label", "printer", said=f"{mailbox.password}\n")
    return replace(mailbox, password=told["password"])


@pytest.fixture
def stored_site(stored_gateway: GatewayProcess, certificates: Certificates) -> Iterator[Site]:
    yield from _watched(stored_gateway, certificates)


@pytest.fixture
def site(gateway: GatewayProcess, certificates: Certificates) -> Iterator[Site]:
    """The gateway before Dovecot."""
    yield from _watched(gateway, certificates)


@pytest.fixture
def cut_off_site(cut_off_gateway: GatewayProcess, certificates: Certificates) -> Iterator[Site]:
    """A gateway whose upstream is down."""
    yield from _watched(cut_off_gateway, certificates)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The client's; nobody else's."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@contextlib.contextmanager
def _running(settings: dict[str, Any], folder: Path) -> Iterator[GatewayProcess]:
    """In the end it must stop as it should, having said nothing but its log."""
    with GatewayProcess(settings, folder) as process:
        yield process
        assert process.stop() == 0
        # asyncio tells, in its development mode, what took it long on a busy machine: that is no fault.
        strays = [line for line in process.raw_log.splitlines() if not line.startswith(("{", "Executing <"))]
        assert strays == []


def _watched(gateway: GatewayProcess, certificates: Certificates) -> Iterator[Site]:
    before = len(gateway.events)
    yield Site(gateway.port, gateway.tls_port, certificates.ca_file)
    assert [event for event in gateway.events[before:] if event["level"] == "error"] == []
