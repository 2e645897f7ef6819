"""What strangers may use up, and that they keep nobody out."""

import contextlib
import resource
import socket

import pytest

from gateway.app.descriptors import FILES_BESIDE, FILES_PER_CONNECTION, affordable
from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox


def test_hundreds_of_idle_strangers_keep_no_good_login_out(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server, limits={"connections_per_address": 50})
    with contextlib.ExitStack() as strangers:
        for number in range(300):
            stranger = strangers.enter_context(RawClient(gateway.port))
            if number % 3:
                stranger.send(b"USER half a li")
        with RawClient(gateway.port) as client:
            assert client.log_in(mailbox).startswith(b"+OK")
            assert client.ask("STAT") == b"+OK 0 0"


def test_the_stranger_who_waited_longest_is_dropped_first(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server, limits={"connections_per_address": 2})
    with RawClient(gateway.port) as first, RawClient(gateway.port) as second, RawClient(gateway.port) as third:
        assert first.line() == b""
        assert second.ask("CAPA").startswith(b"+OK")
        assert third.ask("CAPA").startswith(b"+OK")


def test_a_newcomer_is_told_when_everybody_is_logged_in(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server, limits={"connections": 1})
    with RawClient(gateway.port) as client:
        client.log_in(mailbox)
        with RawClient(gateway.port) as refused:
            assert refused.greeting.startswith(b"-ERR [SYS/TEMP]")
            assert refused.line() == b""
        assert client.ask("NOOP") == b"+OK"


def test_strangers_who_never_begin_tls_keep_no_good_login_out(
    start_gateway: StartGateway, mailbox: Mailbox
) -> None:
    gateway = start_gateway(mailbox.server, limits={"connections_per_address": 20})
    with contextlib.ExitStack() as strangers:
        for _ in range(100):
            strangers.enter_context(socket.create_connection(("127.0.0.1", gateway.tls_port), 10))
        ca_file = mailbox.server.ca_file
        with RawClient(gateway.tls_port, tls=ca_file) as client:
            assert client.log_in(mailbox).startswith(b"+OK")


@pytest.mark.parametrize("octets", [b"A" * 1_048_576, b"PASS " + b"x" * 200_000, b"\0" * 100_000])
def test_a_line_without_an_end_costs_an_error_not_the_session(
    start_gateway: StartGateway, mailbox: Mailbox, octets: bytes
) -> None:
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as client:
        client.send(octets)
        assert client.ask("") == b"-ERR a line may have 16384 octets"
        assert client.log_in(mailbox).startswith(b"+OK")


def test_wrong_passwords_are_answered_then_the_connection_is_closed(
    start_gateway: StartGateway, mailbox: Mailbox
) -> None:
    gateway = start_gateway(mailbox.server, limits={"login_attempts": 2})
    with RawClient(gateway.port) as client:
        for _ in range(2):
            client.ask(f"USER {mailbox.user}")
            assert client.ask("PASS wrong").startswith(b"-ERR [AUTH]")
        assert client.line() == b""
    assert gateway.wait_for("session ended")["how"] == "too many failed logins"


def test_a_second_session_reads_in_use(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as first, RawClient(gateway.port) as second:
        first.log_in(mailbox)
        assert second.log_in(mailbox).startswith(b"-ERR [IN-USE]")
        first.ask("QUIT")
        assert second.log_in(mailbox).startswith(b"+OK")


def test_a_client_that_vanished_leaves_no_lock_behind(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as first:
        first.log_in(mailbox)
    gateway.wait_for("session ended")
    with RawClient(gateway.port) as second:
        assert second.log_in(mailbox).startswith(b"+OK")


def test_out_of_file_descriptors_it_says_so_and_accepts_again_when_there_are_some(
    start_gateway: StartGateway, mailbox: Mailbox
) -> None:
    gateway = start_gateway(mailbox.server)
    limits = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as waiting:
        assert "Too many open files" in gateway.wait_for("connections cannot be accepted now")["error"]
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, limits)
        assert waiting.recv(100).startswith(b"+OK")
    with RawClient(gateway.port) as client:
        assert client.log_in(mailbox).startswith(b"+OK")


@pytest.mark.parametrize(
    ("files", "connections", "warm"),
    [
        (resource.RLIM_INFINITY, 100, 50),
        (FILES_BESIDE + 100 * FILES_PER_CONNECTION + 50, 100, 50),
        (FILES_BESIDE + 100 * FILES_PER_CONNECTION + 7, 100, 7),
        (FILES_BESIDE + 100 * FILES_PER_CONNECTION, 100, 0),
        (FILES_BESIDE + 40 * FILES_PER_CONNECTION + 2, 40, 2),
        (10, 1, 0),
    ],
)
def test_clients_have_the_file_descriptors_first_and_warm_connections_what_is_left(
    monkeypatch: pytest.MonkeyPatch, files: int, connections: int, warm: int
) -> None:
    wanted = FILES_BESIDE + 100 * FILES_PER_CONNECTION + 50
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, files))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    assert affordable(100, 50) == (connections, warm)
    assert raised == [(wanted if files == resource.RLIM_INFINITY else min(wanted, files), files)]
