"""Clients that come through a proxy: a real HAProxy, and some that only say that they are one."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.server.proxy import LOCAL, SIGNATURE
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import SECONDS, RawClient
from tests.servers.fixtures import Mailbox
from tests.servers.haproxy import ADDRESS, HAProxy, own_address
from tests.servers.tls import Certificates
from tests.skipping import skip_unless_ci

CLIENT = "127.0.0.9"  # as good as any address, and each machine has it
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER, for no time
FAR = b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 110\r\n"


def behind_proxies(
    start_gateway: StartGateway, mailbox: Mailbox, *networks: str, host: str = ADDRESS, **more: Any
) -> GatewayProcess:
    urls = [f"pop3://{host}:0", f"pop3s://{host}:0"]
    proxies = list(networks or [ADDRESS])
    return start_gateway(mailbox.server, listen=[{"url": url, "proxy_from": proxies} for url in urls], **more)


def loud(gateway: GatewayProcess) -> list[str]:
    """What it said above debug since it listened."""
    return [event["event"] for event in gateway.events if event["level"] != "debug"][3:]


def answer(gateway: GatewayProcess, said: bytes, *, address: str = ADDRESS, source: str = "") -> bytes:
    """The first of it, of the plain listener; b"": it closed the connection, one way or another."""
    come_from = (source, 0) if source else None
    with socket.create_connection((address, gateway.port), SECONDS, come_from) as sock:
        try:
            sock.sendall(said)
            return sock.recv(100)
        except OSError:
            return b""


# HAProxy

EXPECT = "option tcp-check\n    tcp-check expect rstring ^\\+OK"


@pytest.mark.parametrize(
    "options", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"]
)
@pytest.mark.parametrize("tls", [False, True], ids=["pop3", "pop3s"])
def test_the_log_has_the_clients_address_and_tls_begins_behind_the_header(
    start_gateway: StartGateway, mailbox: Mailbox, certificates: Certificates, options: str, tls: bool
) -> None:
    gateway = behind_proxies(start_gateway, mailbox)
    port, ca_file = (gateway.tls_port, certificates.ca_file) if tls else (gateway.port, None)
    with HAProxy(port, options=options, lines="unique-id-format %ci") as proxy:
        with RawClient(proxy.ports[port], tls=ca_file, source=CLIENT) as client:
            assert client.log_in(mailbox).startswith(b"+OK")
            client.ask("QUIT")
        assert gateway.wait_for("connection opened")["address"] == CLIENT
        assert gateway.wait_for("logged in")["address"] == CLIENT
        assert gateway.wait_for("session ended")["address"] == CLIENT


def test_stls_works_behind_a_proxy(
    start_gateway: StartGateway, mailbox: Mailbox, certificates: Certificates
) -> None:
    gateway = behind_proxies(start_gateway, mailbox)
    with (
        HAProxy(gateway.port, options="send-proxy-v2") as proxy,
        RawClient(proxy.ports[gateway.port], source=CLIENT) as client,
    ):
        client.ask("STLS")
        client.start_tls(certificates.ca_file)
        assert client.log_in(mailbox).startswith(b"+OK")


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2"])
def test_connections_are_counted_for_the_client_and_not_for_the_proxy(
    start_gateway: StartGateway, mailbox: Mailbox, options: str
) -> None:
    gateway = behind_proxies(start_gateway, mailbox, limits={"connections_per_address": 2})
    with HAProxy(gateway.port, options=options) as proxy, contextlib.ExitStack() as stack:
        port = proxy.ports[gateway.port]
        others = [stack.enter_context(RawClient(port, source=f"127.0.1.{number}")) for number in range(1, 9)]
        first, second, third = (stack.enter_context(RawClient(port, source=CLIENT)) for _ in range(3))
        assert first.line() == b""  # it made room for the third
        for client in (second, third, *others):
            assert client.ask("CAPA").startswith(b"+OK")


@pytest.mark.parametrize(
    ("options", "lines"), [("send-proxy", ""), ("send-proxy-v2", ""), ("send-proxy-v2", EXPECT)]
)
def test_health_checks_say_nothing_above_debug(
    start_gateway: StartGateway, mailbox: Mailbox, options: str, lines: str
) -> None:
    """Those without a header HAProxy breaks off before the connection stands: they are not even seen."""
    gateway = behind_proxies(start_gateway, mailbox)
    with HAProxy(gateway.port, options=f"{options} check inter 50ms", lines=lines):
        for _ in range(3):
            assert gateway.wait_for("connection ended without a login")["address"] == ADDRESS
    assert loud(gateway) == []


@pytest.mark.parametrize("broken_off", [False, True])
def test_nor_do_connections_that_are_closed_again(
    start_gateway: StartGateway, mailbox: Mailbox, broken_off: bool
) -> None:
    gateway = behind_proxies(start_gateway, mailbox)
    for said in (b"",) if broken_off else (b"", FAR[:9]):
        with socket.create_connection((ADDRESS, gateway.port), SECONDS) as sock:
            sock.sendall(said)
            if broken_off:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        assert gateway.wait_for("a proxy left before it said for whom it came")["address"] == ADDRESS
    assert loud(gateway) == []


# Who says that it is a proxy


def test_what_follows_the_header_in_one_packet_is_answered(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = behind_proxies(start_gateway, mailbox)
    with RawClient(gateway.port, header=FAR + b"NOOP\r\nQUIT\r\n") as client:
        assert client.greeting.startswith(b"+OK")
        assert client.line().startswith(b"-ERR")
        assert client.line().startswith(b"+OK")


def test_a_client_from_afar_is_not_on_loopback_because_its_proxy_is(
    start_gateway: StartGateway, mailbox: Mailbox, certificates: Certificates
) -> None:
    gateway = behind_proxies(start_gateway, mailbox)
    with RawClient(gateway.port, header=FAR) as client:
        assert client.ask(f"USER {mailbox.user}") == b"-ERR a password is not taken without TLS; send STLS first"
        assert gateway.wait_for("login failed")["address"] == "203.0.113.9"
        client.ask("STLS")
        client.start_tls(certificates.ca_file)
        assert client.log_in(mailbox).startswith(b"+OK")


@pytest.mark.parametrize("header", [FAR, SIGNATURE + b"\x21\x11\0\x0c" + bytes([203, 0, 113, 9]) + bytes(8)])
def test_a_liar_on_this_machine_is_refused(start_gateway: StartGateway, mailbox: Mailbox, header: bytes) -> None:
    gateway = behind_proxies(start_gateway, mailbox)
    assert answer(gateway, header, source=CLIENT) == b""
    refused = gateway.wait_for("connection refused", level="warning")
    assert (refused["address"], refused["why"]) == (CLIENT, "it names a client, and is no proxy of ours")


def test_whoever_comes_from_elsewhere_is_refused_before_a_word(
    start_gateway: StartGateway, mailbox: Mailbox
) -> None:
    address = own_address()
    if not address:
        skip_unless_ci("this machine has no address besides loopback")
    gateway = behind_proxies(start_gateway, mailbox, host="0.0.0.0")
    assert answer(gateway, FAR, address=address) == b""
    refused = gateway.wait_for("connection refused", level="warning")
    assert (refused["address"], refused["why"]) == (address, "it is no proxy of ours (listen.proxy_from)")


@pytest.mark.parametrize("said", [b"CAPA\r\n", b"PROXY TCP4 203.0.113.9\r\n", b"\x16\x03\x01"])
def test_a_proxy_that_does_not_begin_with_a_header_is_refused(
    start_gateway: StartGateway, mailbox: Mailbox, said: bytes
) -> None:
    gateway = behind_proxies(start_gateway, mailbox)
    assert answer(gateway, said) == b""
    assert gateway.wait_for("connection refused", level="warning")["address"] == ADDRESS


def test_other_listeners_take_no_header(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port, header=FAR) as client:
        assert client.greeting.startswith(b"+OK")
        assert client.line().startswith(b"-ERR")
    assert gateway.wait_for("connection ended without a login")["address"] == ADDRESS


def test_proxies_that_say_nothing_give_way_to_clients(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = behind_proxies(start_gateway, mailbox, limits={"connections": 5, "connections_per_address": 1})
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection((ADDRESS, gateway.port), SECONDS)) for _ in range(5)
        ]
        with RawClient(gateway.port, header=FAR) as client:
            assert client.greeting.startswith(b"+OK")
            assert silent[0].recv(1) == b""
            assert client.ask("CAPA").startswith(b"+OK")


# health


@pytest.mark.parametrize("networks", [(ADDRESS,), ("203.0.113.0/24",)])
def test_health_is_asked_for_by_who_is_no_proxy(
    start_gateway: StartGateway, mailbox: Mailbox, networks: tuple[str, ...], tmp_path: Path
) -> None:
    gateway = behind_proxies(start_gateway, mailbox, *networks)
    listen = f"listen: [{{url: 'pop3://127.0.0.1:{gateway.port}', proxy_from: {list(networks)}}}, "
    listen += f"{{url: 'pop3s://127.0.0.1:{gateway.tls_port}', proxy_from: {list(networks)}}}]"
    (tmp_path / "asking.yaml").write_text(listen)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POP3_GATEWAY_")}
    command = [sys.executable, "-m", "gateway", "health", "--config", str(tmp_path / "asking.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("answers") == 2
    assert loud(gateway) == []


def test_who_comes_for_itself_is_who_it_is(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = behind_proxies(start_gateway, mailbox)
    with RawClient(gateway.port, header=LOCAL) as client:
        assert client.log_in(mailbox).startswith(b"+OK")
    assert gateway.wait_for("logged in")["address"] == ADDRESS
