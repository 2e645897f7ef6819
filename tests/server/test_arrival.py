"""A proxy's connection until its header is there: not one octet more is read, and nobody waits for ever."""

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from gateway.ports import Peer
from gateway.server import arrival
from gateway.server.arrival import Arrival
from gateway.server.peers import Proxies
from gateway.server.proxy import BadHeader
from gateway.server.wire import ConnectionOver

PROXY = "10.0.0.1"
LINE = b"PROXY TCP4 192.0.2.7 203.0.113.1 56324 995\r\n"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The proxy's, and ours."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as theirs,
    ):
        ours, _ = server.accept()
        ours.setblocking(False)
        with ours:
            yield theirs, ours


def arrived(ours: socket.socket) -> Arrival:
    return Arrival(ours, PROXY, Proxies([ip_network("10.0.0.0/8")]))


async def test_what_is_behind_the_header_is_left_for_tls_or_pop3(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    theirs.sendall(LINE + b"\x16\x03\x01" + LINE)
    assert await arrived(ours).peer() == Peer("192.0.2.7")
    assert ours.recv(100) == b"\x16\x03\x01" + LINE


async def test_a_header_may_come_in_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    waiting = asyncio.create_task(arrived(ours).peer())
    for octet in LINE + b"C":
        theirs.sendall(bytes([octet]))
        await asyncio.sleep(0.001)
    assert await waiting == Peer("192.0.2.7")
    assert ours.recv(100) == b"C"


async def test_between_two_pieces_it_waits_and_does_not_look_again_and_again(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = ends
    looks: list[Arrival] = []
    real = Arrival._look

    def look(self: Arrival) -> None:
        looks.append(self)
        real(self)

    monkeypatch.setattr(Arrival, "_look", look)
    theirs.sendall(LINE[:20])
    waiting = asyncio.create_task(arrived(ours).peer())
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(looks) == 1
    theirs.sendall(LINE[20:])
    await waiting


@pytest.mark.parametrize("begun", [b"", LINE[:10]])
async def test_who_leaves_before_a_header_is_whole_is_no_bad_proxy(
    ends: tuple[socket.socket, socket.socket], begun: bytes
) -> None:
    theirs, ours = ends
    theirs.sendall(begun)
    theirs.close()
    with pytest.raises(ConnectionOver, match="the proxy closed the connection"):
        await arrived(ours).peer()
    assert ours.fileno() == -1


async def test_nor_is_who_breaks_the_connection_off(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()
    with pytest.raises(ConnectionOver, match="the proxy closed the connection"):
        await arrived(ours).peer()


@pytest.mark.parametrize("begun", [b"", LINE[:10]])
async def test_who_says_too_little_for_too_long_is_refused(
    ends: tuple[socket.socket, socket.socket], begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = ends
    monkeypatch.setattr(arrival, "HEADER_SECONDS", 0.05)
    theirs.sendall(begun)
    with pytest.raises(BadHeader, match=r"no whole PROXY header in 0\.05 seconds"):
        await arrived(ours).peer()
    assert ours.fileno() == -1


async def test_who_says_something_else_is_refused_at_once(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    theirs.sendall(b"CAPA\r\n")
    with pytest.raises(BadHeader, match="does not begin with a PROXY header"):
        await arrived(ours).peer()
    assert ours.fileno() == -1


@pytest.mark.parametrize("before", [True, False])
async def test_it_can_be_ended_from_outside(ends: tuple[socket.socket, socket.socket], before: bool) -> None:
    waiting = arrived(ends[1])
    task = asyncio.create_task(waiting.peer())
    if not before:
        await asyncio.sleep(0.01)
    waiting.stop("no room")
    with pytest.raises(ConnectionOver, match="no room"):
        await task
