"""The buffered connection: limits, deadlines, and ends."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imap.tls import trust
from gateway.imap.transport import (
    BLOCK_OCTETS,
    LINE_LIMIT,
    LITERAL_LIMIT,
    RECEIVE_OCTETS,
    SOCKET_OPTIONS,
    UNASKED_OCTETS,
    Transport,
)
from gateway.ports import Endpoint, TlsMode
from tests.fakes.imap import FakeImap
from tests.imap.wire import SECONDS, Scripted, cut, far_end

SHORT = 0.05


@pytest.fixture
def pair() -> Iterator[tuple[Transport, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        transport = Transport(near)
        transport.allow(SECONDS)
        yield transport, far


@given(st.lists(st.sampled_from([b"a", b"\r\n", b"\n", b"\r", b"bc"]), max_size=30).map(b"".join), st.data())
def test_lines_are_the_same_whatever_the_packets(stream: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    transport = Scripted(*cut(stream, cuts))
    lines = []
    while line := transport.readline():
        lines.append(line)
    whole = stream[: stream.rfind(b"\n") + 1]
    assert lines == [line + b"\n" for line in whole.split(b"\n")[:-1]]


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=8), st.lists(st.integers(1, 12), max_size=12))
def test_some_octets_are_never_none_never_more_and_lose_nothing(pieces: list[bytes], asked: list[int]) -> None:
    transport = Scripted(*pieces)
    taken = b""
    whole = b"".join(pieces)
    for most in asked:
        if len(taken) == len(whole):
            with pytest.raises(ConnectionError):
                transport.read_some(most)
            break
        some = transport.read_some(most)
        assert 1 <= len(some) <= most
        taken += some
    assert whole.startswith(taken)


def test_reading_some_takes_what_is_here_up_to_what_is_asked() -> None:
    with far_end(b"x" * (2 * BLOCK_OCTETS)) as transport:
        taken = 0
        while taken < 2 * BLOCK_OCTETS:
            taken += len(transport.read_some(BLOCK_OCTETS))
        with pytest.raises(ConnectionError, match="within a message"):
            transport.read_some(1)


def test_lines_and_octets_come_from_one_buffer() -> None:
    transport = Scripted(b"* 1 FETCH {3}\r\nabc", b")\r\nT OK\r\n* 2")
    assert transport.readline() == b"* 1 FETCH {3}\r\n"
    assert transport.read_some(2) == b"ab"
    assert transport.read(1) == b"c"
    assert transport.read_lines() == b")\r\nT OK\r\n"
    transport.unread(b"T OK\r\n")
    assert transport.readline() == b"T OK\r\n"
    assert transport.readline() == b""


def test_all_whole_lines_that_are_here_come_at_once() -> None:
    transport = Scripted(b"a", b"b\r\nc\r\nd", b"\r\n")
    assert transport.read_lines() == b"ab\r\nc\r\n"
    assert transport.read_lines() == b"d\r\n"
    assert transport.read_lines() == b""


# Limits


def test_a_line_without_end_is_refused() -> None:
    transport = Scripted(*[b"x" * RECEIVE_OCTETS] * 100)
    with pytest.raises(ConnectionError, match=f"a line of more than {LINE_LIMIT} octets"):
        transport.readline()
    assert len(transport.held) <= LINE_LIMIT + RECEIVE_OCTETS


def test_a_literal_that_would_be_held_whole_is_refused_before_it_is_read() -> None:
    transport = Scripted(b"x")
    with pytest.raises(ConnectionError, match="a literal of 99999999999 octets"):
        transport.read(99_999_999_999)
    with pytest.raises(ConnectionError):
        transport.read(LITERAL_LIMIT + 1)


def test_the_end_of_the_stream_within_a_literal_is_an_error() -> None:
    with pytest.raises(ConnectionError, match="within a literal"):
        Scripted(b"abc").read(4)


# Deadlines


@pytest.mark.parametrize(
    "read",
    [
        Transport.readline,
        Transport.read_lines,
        lambda transport: transport.read(1),
        lambda transport: transport.read_some(1),
        lambda transport: transport.send(b"x" * 100_000_000),
    ],
)
@pytest.mark.parametrize("bound", [Transport.allow, Transport.end_by])
def test_every_wait_has_an_end(
    pair: tuple[Transport, socket.socket],
    read: Callable[[Transport], object],
    bound: Callable[[Transport, float], None],
) -> None:
    transport, _ = pair
    bound(transport, SHORT)
    transport.allow(SHORT if bound is Transport.allow else SECONDS)
    with pytest.raises(TimeoutError):
        read(transport)


def test_drops_that_come_now_and_then_do_not_lengthen_it(pair: tuple[Transport, socket.socket]) -> None:
    transport, far = pair
    transport.allow(SHORT)
    done = threading.Event()

    def trickle() -> None:
        while not done.wait(SHORT / 10):
            far.sendall(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    with pytest.raises(TimeoutError):
        transport.readline()
    done.set()
    thread.join()


def test_a_deadline_that_has_passed_ends_the_exchange_even_if_octets_are_there(
    pair: tuple[Transport, socket.socket],
) -> None:
    transport, far = pair
    far.sendall(b"x")
    transport.allow(-1)
    with pytest.raises(TimeoutError):
        transport.readline()


def test_reading_without_a_deadline_is_a_bug() -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(AssertionError):
        Transport(near).readline()


def test_the_first_answer_may_be_wanted_sooner_than_the_rest(pair: tuple[Transport, socket.socket]) -> None:
    transport, far = pair
    far.sendall(b"a\r\n")
    transport.expect_within(SHORT)
    assert transport.readline() == b"a\r\n"
    timer = threading.Timer(2 * SHORT, far.sendall, [b"b\r\n"])
    timer.start()
    assert transport.readline() == b"b\r\n"
    timer.join()
    transport.expect_within(SHORT)
    with pytest.raises(TimeoutError):
        transport.readline()


# What comes unasked


def test_it_is_read_without_waiting(pair: tuple[Transport, socket.socket]) -> None:
    transport, far = pair
    assert transport.unasked() == b""
    far.sendall(b"* OK a\r\n* OK")
    assert transport.unasked() == b"* OK a\r\n* OK"
    far.sendall(b"x" * 200_000)
    assert UNASKED_OCTETS < len(transport.unasked()) < 200_000


@pytest.mark.parametrize("words", [b"", b"* BYE\r\n"])
def test_the_end_of_the_stream_is_an_error_then(pair: tuple[Transport, socket.socket], words: bytes) -> None:
    transport, far = pair
    far.sendall(words)
    far.close()
    with pytest.raises(ConnectionError):
        transport.unasked()


# Ends


def test_abort_wakes_who_waits(pair: tuple[Transport, socket.socket]) -> None:
    transport, _ = pair
    timer = threading.Timer(SHORT, transport.abort)
    timer.start()
    assert transport.readline() == b""
    timer.join()
    transport.abort()


def test_a_server_in_the_middle_of_its_answer_is_let_go_at_once_when_it_is_aborted() -> None:
    """Its buffers are full, and ours is empty when we close: it would hear nothing more until it asked again."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near, far = socket.create_connection(listening.getsockname()), listening.accept()[0]
    with near, far:
        transport = Transport(near)
        far.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                far.send(bytes(BLOCK_OCTETS))
        transport.abort()
        near.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while near.recv(BLOCK_OCTETS):
                pass
        transport.close()
        far.settimeout(SECONDS)
        with pytest.raises(ConnectionError):
            far.sendall(b"the rest")


def test_after_close_nothing_is_read(pair: tuple[Transport, socket.socket]) -> None:
    transport, far = pair
    far.sendall(b"a\r\nb\r\n")
    assert transport.readline() == b"a\r\n"
    transport.close()
    transport.close()
    transport.abort()
    with pytest.raises(OSError, match="Bad file descriptor"):
        transport.readline()


@pytest.mark.parametrize("use", [Transport.readline, lambda transport: transport.send(b"x" * 9_000_000)])
def test_a_peer_that_acknowledges_nothing_is_lost_and_not_slow(use: Callable[[Transport], object]) -> None:
    """The one is worth another connection at once, the other is not."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as near,
    ):
        far, _ = listener.accept()
        with far:
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 50)  # ms
            near.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    near.send(b"x" * 65_536)  # until the window is closed
            transport = Transport(near)
            transport.allow(SECONDS)
            with pytest.raises(ConnectionAbortedError, match="timed out"):
                use(transport)


def test_an_idle_connection_is_looked_after_by_the_system(fake: FakeImap) -> None:
    endpoint = Endpoint("127.0.0.1", fake.imap_port, TlsMode.NONE)
    transport = Transport.connect(endpoint, trust(None), SECONDS)
    options = {option: transport.socket.getsockopt(level, option) for level, option, _ in SOCKET_OPTIONS}
    assert options == {option: value for _, option, value in SOCKET_OPTIONS}
    transport.close()


def test_octets_behind_the_answer_to_starttls_are_an_attack(pair: tuple[Transport, socket.socket]) -> None:
    transport, far = pair
    far.sendall(b"T OK begin\r\n* CAPABILITY IMAP4rev1\r\n")
    transport.readline()
    with pytest.raises(ConnectionError, match="in clear"):
        transport.start_tls(trust(None), Endpoint("localhost", 143, TlsMode.STARTTLS))
