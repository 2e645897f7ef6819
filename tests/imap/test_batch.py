"""Several messages in one answer: usual ones and odd ones, however they are cut into packets."""

import asyncio
import ssl
from collections.abc import Callable

import pytest

from gateway.errors import UpstreamError, UpstreamRefused, UpstreamUnreachable
from gateway.imap.batch import Batch
from gateway.imap.faults import translated
from gateway.imap.transport import LINE_LIMIT
from tests.imap.wire import Scripted, every_cut, far_end

ROOM = {11: 10, 12: 10, 13: 10}
USUAL = b"* 1 FETCH (UID 11 BODY[] {3}\r\none)\r\n"
THREE = USUAL + b"* 2 FETCH (UID 12 BODY[] {5}\r\na)\r\nb)\r\n* 3 FETCH (UID 13 BODY[] {1}\r\n3)\r\n"
DONE = b"GW1 OK Fetch completed (0.001 + 0.000 secs).\r\n"
ONE = [(11, b"one")]

Found = list[tuple[int, bytes]]


def waited_for(*pieces: bytes, octets: int | None = None) -> Found:
    """All of it by a thread that may wait."""
    return list(Batch(Scripted(*pieces), "11:13", ROOM, octets).rest())


def heard(*pieces: bytes, octets: int | None = None) -> Found:
    """As the event loop does it: what looks as usual as it comes, and the rest by a thread."""
    batch, found = Batch(Scripted(*pieces), "11:13", ROOM, octets), Found()
    batch.begin()
    while batch.hear(lambda uid, body: found.append((uid, body))):
        pass
    return found + list(batch.rest())


Ways = pytest.mark.parametrize("fetched", [waited_for, heard])
Fetched = Callable[..., Found]


@Ways
def test_packets_may_end_anywhere(fetched: Fetched) -> None:
    for pieces in every_cut(THREE + DONE):
        assert fetched(*pieces) == [(11, b"one"), (12, b"a)\r\nb"), (13, b"3")]


@Ways
@pytest.mark.parametrize(
    ("odd", "makes"),
    [
        (b"* 2 FETCH (FLAGS (\\Seen) UID 12 BODY[] {3}\r\ntwo)\r\n", [(12, b"two")]),
        (b"* 2 FETCH (UID 12 BODY[] {3}\r\ntwo FLAGS (\\Seen))\r\n", [(12, b"two")]),
        (b"* 2 FETCH (BODY[] {3}\r\ntwo UID 12)\r\n", [(12, b"two")]),
        (b"* 2 fetch (uid 12 body[] {3}\r\ntwo)\r\n", [(12, b"two")]),
        (b'* 2 FETCH (UID 12 BODY[] "two")\r\n', [(12, b"two")]),
        (b"* 2 FETCH (UID 12 BODY[] NIL)\r\n", []),
        (b"* 2 FETCH (UID 12 BODY[] {0}\r\n)\r\n", []),
        (b"* 2 FETCH (UID 12 BODY[]<0> {3}\r\ntwo)\r\n", []),
        (b"* 2 FETCH (UID 12 BODY[HEADER] {3}\r\ntwo)\r\n", []),
        (b"* 2 FETCH (UID 12)\r\n* 5 EXISTS\r\n* 1 EXPUNGE\r\n", []),
        (b"* OK [ALERT] * 9 FETCH (UID 9 BODY[] {1} now\r\n", []),
        (b"* X literal {3}\r\nGW1 (a literal)\r\n", []),
    ],
)
def test_an_odd_answer_among_usual_ones_is_read_for_itself(fetched: Fetched, odd: bytes, makes: Found) -> None:
    assert fetched(USUAL + odd + USUAL + DONE) == ONE + makes + ONE
    assert fetched(odd + USUAL + odd + DONE) == makes + ONE + makes
    for pieces in every_cut(odd + USUAL + DONE):
        assert fetched(*pieces) == makes + ONE


@Ways
def test_the_beginning_of_a_message_is_called_by_its_range_or_whole(fetched: Fetched) -> None:
    whole, beginning = b"* 1 FETCH (UID 11 BODY[] {3}\r\none)\r\n", b"* 2 FETCH (UID 12 BODY[]<0> {3}\r\ntwo)\r\n"
    assert fetched(whole + beginning + whole + beginning + DONE, octets=3) == [(11, b"one"), (12, b"two")] * 2


@Ways
@pytest.mark.parametrize(
    ("ending", "error"),
    [
        (b"", UpstreamUnreachable),
        (b"* 2 FETCH (UID 12 BODY[] {5}\r\na)", UpstreamUnreachable),
        (b"* BYE shutting down\r\n", UpstreamUnreachable),
        (b"GW1 NO [SERVERBUG] not now\r\n", UpstreamRefused),
        (b"what is this\r\n", UpstreamError),
    ],
)
def test_an_answer_that_ends_badly_is_an_error(
    fetched: Fetched, ending: bytes, error: type[UpstreamError]
) -> None:
    for pieces in (*every_cut(USUAL + ending), [USUAL + ending]):
        with pytest.raises(error), translated("reading ahead"):
            fetched(*pieces)


# In the event loop


def test_what_is_usual_and_the_lines_between_wait_for_no_thread() -> None:
    batch, found = (
        Batch(Scripted(b"* 7 EXISTS\r\n" + USUAL + b"* OK still here\r\n" + DONE), "11", ROOM, None),
        Found(),
    )
    assert not batch.hear(lambda uid, body: found.append((uid, body)))
    assert batch.done
    assert found == ONE


@pytest.mark.parametrize("again", [USUAL, b"* OK\r\n", b"* 7 EXISTS\r\n"])
def test_a_server_that_never_ends_is_not_listened_to_for_long(again: bytes) -> None:
    """Each turn of the loop would take as long as 64 KiB of its lines, and others wait meanwhile."""
    batch, turns = Batch(Scripted(again * 10_000), "11", ROOM, None), 1
    while batch.hear(lambda uid, body: None):
        turns += 1
    assert not batch.done
    assert turns == 1


@pytest.mark.parametrize(
    "begun",
    [
        b"* 1 FETCH (UID 11 BODY[] {11}\r\n",  # more than there is room for
        b"* 1 FETCH (UID 99 BODY[] {3}\r\n",  # not asked for
        b"* 1 FETCH (UID 11 BODY[]<0> {3}\r\n",
        b"x" * LINE_LIMIT,
        b"* 1 FETCH (UID 11 BODY[] {3}\r\none FL",
    ],
)
def test_what_is_not_usual_is_not_gathered_in_the_loop(begun: bytes) -> None:
    batch = Batch(Scripted(begun, b"more"), "11", ROOM, None)
    assert not batch.hear(lambda *_: None)
    assert not batch.done


async def test_the_loop_listens_to_a_connection_until_the_answer_is_whole() -> None:
    with far_end(THREE, DONE) as transport:
        batch, found = Batch(transport, "11:13", ROOM, None), Found()
        await batch.listen(lambda uid, body: found.append((uid, body)))
        assert batch.done
        assert [uid for uid, _ in found] == [11, 12, 13]
        assert not transport.held
        assert transport.unanswered == 0


async def test_a_listener_that_is_cancelled_leaves_the_loop() -> None:
    with far_end(USUAL) as transport:
        came = asyncio.Event()
        listening = asyncio.create_task(Batch(transport, "11", ROOM, None).listen(lambda *_: came.set()))
        await came.wait()
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        assert not asyncio.get_running_loop().remove_reader(transport.socket)


async def test_what_cannot_be_sent_now_is_sent_by_the_thread() -> None:
    class Full(Scripted):
        def send_now(self, octets: bytes) -> bytes:
            return octets[3:]

    transport = Full(USUAL + DONE)
    batch = Batch(transport, "11", ROOM, None)
    await batch.listen(lambda *_: None)
    assert not batch.done
    assert list(batch.rest()) == ONE
    assert transport.sent == b" UID FETCH 11 (UID BODY.PEEK[])\r\n"


@pytest.mark.parametrize("not_now", [BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError])
def test_a_socket_that_is_not_ready_is_no_error(not_now: type[OSError]) -> None:
    with far_end() as transport:

        class Busy:
            def setblocking(self, _: bool) -> None: ...
            def gettimeout(self) -> float:
                return 1.0

            def recv(self, _: int) -> bytes:
                raise not_now

            send = recv

        there, transport.socket = transport.socket, Busy()  # type: ignore[assignment]
        assert transport.receive_now()
        assert transport.send_now(b"abc") == b"abc"
        transport.socket = there
