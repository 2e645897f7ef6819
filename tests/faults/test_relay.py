"""The relay does what it is told, or the tests behind it prove nothing."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.relay import End, Fault, Point, Relay, Way


class Echo:
    """A server that says each piece back, until its client has finished."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.heard = b""
        self.done = threading.Event()  # a client has finished


@pytest.fixture
def echo() -> Iterator[Echo]:
    listener = socket.create_server(("127.0.0.1", 0))

    echo = Echo(listener)

    def serve(connection: socket.socket) -> None:
        with connection:
            while piece := connection.recv(65_536):
                echo.heard += piece
                with contextlib.suppress(OSError):
                    connection.sendall(piece)
        echo.done.set()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield echo
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


@pytest.fixture
def relay(echo: Echo) -> Iterator[Relay]:
    with Relay(echo.port) as relay:
        yield relay


def say(relay: Relay, *pieces: bytes) -> bytes:
    """Everything that comes back."""
    heard = b""
    with socket.create_connection(("127.0.0.1", relay.port), 5) as client:
        for piece in pieces:
            client.sendall(piece)
            while not heard.endswith(piece):
                if not (more := client.recv(65_536)):
                    return heard
                heard += more
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    return heard


def test_it_passes_everything_and_counts_octets(relay: Relay) -> None:
    assert say(relay, b"one ", b"x" * 300_000) == b"one " + b"x" * 300_000
    assert relay.octets == {Way.UP: 300_004, Way.DOWN: 300_004}


def test_it_counts_connections_and_flights(relay: Relay) -> None:
    """Small ones: of a large piece the first octets come back while the client still sends the last."""
    say(relay, b"one ", b"two ")
    say(relay, b"three")
    assert (relay.connections, relay.flights) == (2, 3)


POINTS = [*zip(Point, (b"one t", b"one two", b"one two.."), strict=True)]


@pytest.mark.parametrize(("point", "passes"), POINTS)
def test_it_cuts_an_answer_where_it_is_told_once(relay: Relay, point: Point, passes: bytes) -> None:
    fault = relay.arm(Fault(Way.DOWN, rb"wo\.\.", point))
    assert say(relay, b"one ", b"two..three") == passes
    assert say(relay, b"two..three") == b"two..three"
    assert fault.struck == 1


@pytest.mark.parametrize(("point", "passes"), POINTS)
def test_it_cuts_a_question_where_it_is_told(relay: Relay, echo: Echo, point: Point, passes: bytes) -> None:
    relay.arm(Fault(Way.UP, rb"wo\.\.", point))
    assert say(relay, b"one ", b"two..three") == b"one "
    assert echo.done.wait(5)
    assert echo.heard == passes


def test_it_cuts_after_so_many_octets(relay: Relay) -> None:
    relay.arm(Fault(Way.DOWN, 100_000, times=None))
    for _ in range(2):
        assert len(say(relay, b"x" * 60_000 + b"1", b"x" * 60_000 + b"2")) == 100_000


def test_it_looks_at_the_answer_to_one_question_only(relay: Relay) -> None:
    relay.arm(Fault(Way.DOWN, b".+", since=b"two"))
    assert say(relay, b"one ", b"two ", b"three ") == b"one "


def test_a_reset_is_one(relay: Relay) -> None:
    relay.arm(Fault(Way.UP, b"two", end=End.RST))
    with pytest.raises(ConnectionResetError):
        say(relay, b"one ", b"two ")


def test_a_stall_stays_open_and_silent(relay: Relay) -> None:
    relay.arm(Fault(Way.DOWN, b"two", end=End.STALL))
    with socket.create_connection(("127.0.0.1", relay.port), 5) as client:
        client.sendall(b"one two")
        assert client.recv(100) == b"one "
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(100)


def test_cut_and_refuse(relay: Relay) -> None:
    with socket.create_connection(("127.0.0.1", relay.port), 5) as client:
        client.sendall(b"one")
        assert client.recv(100) == b"one"
        relay.cut()
        assert client.recv(100) == b""
    relay.refuse = True
    assert say(relay) == b""
    relay.heal()
    assert say(relay, b"three") == b"three"


def test_latency_and_bandwidth(relay: Relay) -> None:
    relay.latency = 0.05
    began = time.monotonic()
    assert say(relay, b"one ", b"two ") == b"one two "
    assert time.monotonic() - began >= 0.2
    relay.latency, relay.bandwidth = 0.0, 1_000_000
    began = time.monotonic()
    assert len(say(relay, b"x" * 100_000)) == 100_000
    assert time.monotonic() - began >= 0.1
