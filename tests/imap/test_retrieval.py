"""Messages from servers that lie, stop, and send other things in between."""

import asyncio
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

import gateway.threads
from gateway.errors import (
    MessageGone,
    UpstreamError,
    UpstreamRefused,
)
from gateway.imap.batch import Batch
from gateway.imap.mailbox import DISCARD_OCTETS
from gateway.imap.transport import BLOCK_OCTETS
from tests.fakes.faults import Edit, Hold, Insert, Say, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.row_faults import (
    Announce,
    BodyIs,
    FlagsOnly,
    Item,
    Literal8,
    NoRow,
    Order,
    Quoted,
    Twice,
    WholeBody,
    Without,
)
from tests.imap.conftest import HASTY, ONE, THREADS, THREE, TWO, Upstream, commit, read

LARGE = bytes(range(256)) * 4096  # a megabyte
HUGE = bytes(range(256)) * 8192


async def test_messages_come_as_they_are(fake: FakeImap, upstream: Upstream) -> None:
    odd = [b"", b"\0\r\n", b"bare\nlf\n", b"no end", b")\r\nGW1 OK\r\n", b"\r", LARGE]
    fake.deliver("ann", odd)
    mailbox = await upstream.open()
    for uid, octets in enumerate([ONE, TWO, THREE, *odd], 1):
        assert await read(mailbox, uid) == octets
    assert fake.counts.connections == 1


async def test_looking_marks_nothing_as_seen(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    await read(mailbox, 1)
    await read(mailbox, 2, 5)
    assert [stored.flags for stored in fake.messages("ann")] == [frozenset()] * 3


async def test_the_beginning_of_a_message(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    assert await read(mailbox, 1, 10) == ONE[:10]
    assert await read(mailbox, 1, 10_000) == ONE
    fake.on("UID FETCH", WholeBody())  # a server that ignores the range
    assert await read(mailbox, 1, 10) == ONE


async def test_blocks_are_not_larger_than_256_kib(fake: FakeImap, upstream: Upstream) -> None:
    [uid] = fake.deliver("ann", [HUGE])
    body = await (await upstream.open()).open_body(uid)
    blocks = [block async for block in body]
    assert b"".join(blocks) == HUGE
    assert max(map(len, blocks)) <= BLOCK_OCTETS


GONE: list[Fault] = [
    NoRow(),
    Item("BODY", "NIL"),
    Item("BODY", '""'),
    BodyIs(b""),
    FlagsOnly(),
    FlagsOnly(uid=True),
    Without("BODY"),
    Item("UID", "3"),
    Say("OK done"),
]


@pytest.mark.parametrize("fault", GONE, ids=repr)
async def test_an_answer_without_our_message_is_a_message_that_is_gone(
    fake: FakeImap, upstream: Upstream, fault: Fault
) -> None:
    mailbox = await upstream.open()
    fake.on("UID FETCH", fault, uid=2)
    with pytest.raises(MessageGone):
        await read(mailbox, 2)
    assert await read(mailbox, 1) == ONE
    assert fake.counts.connections == 1


async def test_a_message_that_another_client_removed_is_gone(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.expunge("ann", [2])
    with pytest.raises(MessageGone):
        await read(mailbox, 2)
    assert await read(mailbox, 3) == THREE


@pytest.mark.parametrize(
    "fault",
    [
        Without("UID"),
        Order("BODY", "UID"),
        Announce(more=1),
        Announce(more=-1),
        Announce(99_999_999_999),
        Quoted(),
        Say("NO no"),
        Say("BAD what"),
        Say("NO [LIMIT] later"),
        Edit("^OK.*", "NO [SERVERBUG] not all of it"),
    ],
    ids=repr,
)
async def test_an_answer_that_cannot_be_right_is_an_error(
    fake: FakeImap, upstream: Upstream, fault: Fault
) -> None:
    upstream.timeouts = HASTY
    mailbox = await upstream.open()
    wrong = [Item("UID", "3"), fault] if isinstance(fault, Order) else [fault]
    fake.on("UID FETCH", *wrong, uid=2)
    with pytest.raises(UpstreamError):
        await read(mailbox, 2)
    fake.forgive()
    assert await read(mailbox, 1) == ONE


@pytest.mark.parametrize(
    "fault",
    [Order("BODY", "UID"), Literal8(), Twice(), Insert("* 2 FETCH (FLAGS (\\Seen))", "* 9 EXISTS", "* OK hi")],
    ids=repr,
)
async def test_a_right_answer_in_another_form_is_taken(fake: FakeImap, upstream: Upstream, fault: Fault) -> None:
    mailbox = await upstream.open()
    fake.on("UID FETCH", fault, uid=2)
    assert await read(mailbox, 2) == TWO


# A no in the middle


async def test_a_no_behind_a_large_body_does_not_stall_the_session(fake: FakeImap, upstream: Upstream) -> None:
    """The body is over when the no comes: there is nothing more to wait for."""
    upstream.timeouts = HASTY
    [uid] = fake.deliver("ann", [LARGE])
    mailbox = await upstream.open()
    fake.on("UID FETCH", Edit("^OK.*", "NO [SERVERBUG] not all of it"), uid=uid)
    before = fake.counts
    with pytest.raises(UpstreamRefused):
        await read(mailbox, uid)
    fake.forgive()
    assert await read(mailbox, 1) == ONE
    assert (fake.counts - before).connections == 0  # a tagged no: the connection is as good as before


# A body that is not taken to its end


async def abandoned(mailbox_of: Upstream, uid: int) -> None:
    mailbox = mailbox_of.opened[0]
    body = await mailbox.open_body(uid)
    async for _ in body:
        break
    await body.aclose()
    await body.aclose()


async def test_the_rest_of_a_short_body_is_read_and_the_connection_kept(
    fake: FakeImap, upstream: Upstream
) -> None:
    [uid] = fake.deliver("ann", [LARGE])
    assert len(LARGE) <= DISCARD_OCTETS
    mailbox = await upstream.open()
    await abandoned(upstream, uid)
    assert await read(mailbox, 1) == ONE
    assert fake.counts.connections == 1


async def test_for_the_rest_of_a_long_one_nobody_waits(fake: FakeImap, upstream: Upstream) -> None:
    [uid] = fake.deliver("ann", [HUGE * 3])
    mailbox = await upstream.open()
    await abandoned(upstream, uid)
    assert await read(mailbox, 1) == ONE
    assert fake.counts.connections == 2


async def test_a_rest_that_does_not_come_gives_the_connection_up(fake: FakeImap, upstream: Upstream) -> None:
    upstream.timeouts = HASTY
    [uid] = fake.deliver("ann", [LARGE])
    mailbox = await upstream.open()
    fake.on("UID FETCH", Stall(octets=300_000, of="literal"), uid=uid, has="BODY")
    await abandoned(upstream, uid)
    assert await read(mailbox, 1) == ONE
    assert fake.counts.connections == 2


async def test_a_reader_that_is_cancelled_gives_the_connection_up(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    asked = threading.Event()
    fake.on("UID FETCH", lambda *_: asked.set(), Stall())
    task = asyncio.create_task(mailbox.open_body(2))
    await asyncio.to_thread(asked.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(fake.wait_until_idle)


# Reading ahead


async def test_of_what_comes_ahead_only_what_was_asked_for_is_held(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may send as many other messages as it likes within the time that it has."""
    large = 1_000_000

    def rest(self: Batch) -> Iterator[tuple[int, bytes]]:
        yield from ((uid, bytes(large)) for uid in [3, 3, *range(100, 200), 3])
        yield 3, THREE

    monkeypatch.setattr(Batch, "begin", lambda _: False)
    monkeypatch.setattr(Batch, "rest", rest)
    mailbox = await upstream.open()
    tracemalloc.start()
    for uid, octets in ((1, ONE), (2, TWO)):
        assert mailbox.at_hand(uid) is None
        assert b"".join([block async for block in await mailbox.open_body(uid)]) == octets
    assert mailbox.at_hand(3) == THREE
    assert tracemalloc.get_traced_memory()[1] < 10 * large
    tracemalloc.stop()


async def test_nobody_waits_for_the_rest_of_what_comes_ahead(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def rest(self: Batch) -> Iterator[tuple[int, bytes]]:
        yield 2, TWO
        go_on.wait()
        yield 3, THREE

    monkeypatch.setattr(Batch, "begin", lambda _: False)
    monkeypatch.setattr(Batch, "rest", rest)
    mailbox = await upstream.open()
    for uid, octets in ((1, ONE), (2, TWO)):
        assert mailbox.at_hand(uid) is None
        assert await read(mailbox, uid) == octets
    assert mailbox.at_hand(3) is None
    third = asyncio.create_task(read(mailbox, 3))
    await asyncio.sleep(0)
    assert not third.done()
    go_on.set()
    assert await third == THREE


async def test_an_answer_that_no_thread_is_free_to_read_ends_its_connection(
    fake: FakeImap, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of it would be taken for the answer to another command."""
    monkeypatch.setattr(gateway.threads, "QUEUE_SECONDS", 0.1)
    uids = fake.deliver("ann", [THREE] * 40)
    mailbox = await upstream.open()
    assert await read(mailbox, uids[0]) == THREE
    fake.on("UID FETCH", Insert("* OK an odd line {5}\r\nabcde", at=2), has="BODY")
    free = threading.Event()
    for _ in range(THREADS):
        upstream.threads.start(free.wait)
    assert mailbox.at_hand(uids[0]) is None
    assert mailbox.at_hand(uids[1]) is None
    await mailbox.open_body(uids[1])
    await mailbox._ahead.settled()
    free.set()
    fake.forgive()
    for uid in uids[4:9]:
        assert (mailbox.at_hand(uid) or await read(mailbox, uid)) == THREE
    assert fake.counts.connections == 2


async def test_where_sizes_differ_a_window_holds_no_more_than_it_is_allowed(
    fake: FakeImap, upstream: Upstream
) -> None:
    """A server whose sizes are not those of its messages may send a megabyte for each of twenty octets."""
    large = 500_000
    uids = fake.deliver("ann", [b"x" * large] * 20)
    fake.on("UID FETCH", Item("RFC822.SIZE", "20"), has="RFC822.SIZE")
    mailbox = await upstream.open()
    tracemalloc.start()
    for uid in uids[:4]:
        held = mailbox.at_hand(uid)
        body = held or b"".join([block async for block in await mailbox.open_body(uid)])
        assert body == b"x" * large
        await asyncio.sleep(0.2)  # for what is read ahead meanwhile
    assert tracemalloc.get_traced_memory()[1] < 6 * large
    tracemalloc.stop()


async def test_quit_does_not_wait_for_messages_that_nobody_will_take(fake: FakeImap, upstream: Upstream) -> None:
    uids = fake.deliver("ann", [THREE] * 40)
    mailbox = await upstream.open()
    for uid in uids[:2]:
        assert (mailbox.at_hand(uid) or await read(mailbox, uid)) == THREE
    await mailbox._ahead.settled()
    go_on = threading.Event()
    fake.on("UID FETCH", Hold(go_on), has="BODY")
    assert mailbox.at_hand(uids[2]) == THREE  # and now more are read ahead
    await asyncio.sleep(0)
    await commit(mailbox, delete=(uids[0],))
    assert uids[0] not in [stored.uid for stored in fake.messages("ann")]
    go_on.set()
