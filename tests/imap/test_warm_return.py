"""Warm connections: what is given back at a session's end, and what is not."""

import asyncio
import sys
import threading
from collections.abc import Callable

import pytest

from gateway.errors import GatewayError
from gateway.imap.mailbox import DISCARD_OCTETS, UpstreamMailbox
from tests.fakes.faults import Hold, Say
from tests.fakes.imap import FakeImap
from tests.imap.conftest import BOUND, ONE, THREADS, Upstream, commit, poll, read, settled

LARGE = bytes(range(256)) * (4 * DISCARD_OCTETS // 256)


async def half_read(mailbox: UpstreamMailbox, uid: int) -> None:
    body = await mailbox.open_body(uid)
    await anext(aiter(body))


async def half_read_and_let_go(mailbox: UpstreamMailbox, uid: int) -> None:
    body = await mailbox.open_body(uid)
    await anext(aiter(body))
    await body.aclose()


async def never_read(mailbox: UpstreamMailbox, uid: int) -> None:
    await mailbox.open_body(uid)


async def cancelled(mailbox: UpstreamMailbox, uid: int) -> None:
    body = await mailbox.open_body(uid)
    blocks = aiter(body)
    for _ in range(3):
        await anext(blocks)
    reading = asyncio.ensure_future(anext(blocks))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})


async def cancelled_at_once(mailbox: UpstreamMailbox, uid: int) -> None:
    opening = asyncio.ensure_future(mailbox.open_body(uid))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait({opening})


ABORTS = [half_read, half_read_and_let_go, never_read, cancelled, cancelled_at_once]


@pytest.mark.parametrize("abort", ABORTS)
async def test_a_session_that_broke_off_within_a_message_leaves_nothing_to_the_next(
    fake: FakeImap, warm: Upstream, abort: Callable[[UpstreamMailbox, int], object]
) -> None:
    [uid] = fake.deliver("ann", [LARGE])
    mailbox = await warm.open()
    await abort(mailbox, uid)  # type: ignore[misc]
    await mailbox.close()
    assert len(warm.connections._warm) == 0
    following = await warm.open()
    assert await read(following, 1) == ONE
    assert fake.verbs.count("LOGIN") == 2
    await settled(lambda: len(fake.open) == 1)
    assert "LOGOUT" not in fake.verbs  # whose answer would be waited for, behind all the rest of the message


async def test_a_session_that_ends_while_its_update_goes_on_leaves_nothing_either(
    fake: FakeImap, warm: Upstream
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    fake.on("UID STORE", lambda *_: begun.set(), Hold(go_on))
    mailbox = await warm.open()
    update = asyncio.create_task(commit(mailbox, delete=(1,)))
    await asyncio.to_thread(begun.wait)
    await mailbox.close()
    assert len(warm.connections._warm) == 0
    go_on.set()
    await asyncio.wait({update})
    assert len(warm.connections._warm) == 0


async def test_nor_one_whose_update_has_not_even_begun(fake: FakeImap, warm: Upstream) -> None:
    mailbox = await warm.open()
    go_on = threading.Event()
    blocked = [warm.threads.submit(go_on.wait, BOUND) for _ in range(THREADS)]
    update = asyncio.create_task(commit(mailbox, delete=(1,)))
    await asyncio.sleep(0)
    await mailbox.close()
    assert len(warm.connections._warm) == 0
    go_on.set()
    await asyncio.gather(update, *map(asyncio.wrap_future, blocked), return_exceptions=True)
    assert len(warm.connections._warm) == 0


async def test_a_refusal_or_a_message_that_is_gone_leaves_the_connection_as_good_as_before(
    fake: FakeImap, warm: Upstream
) -> None:
    mailbox = await warm.open()
    for fault in (Say("OK but there is none"), Say("NO [LIMIT] not now")):
        rule = fake.on("UID FETCH", fault, uid=1, has="BODY")
        with pytest.raises(GatewayError):
            await read(mailbox, 1)
        fake.forgive(rule)
    await mailbox.close()
    await poll(warm)
    assert fake.counts.connections == 1


async def test_a_short_rest_of_a_message_is_read_and_the_connection_kept(fake: FakeImap, warm: Upstream) -> None:
    [uid] = fake.deliver("ann", [LARGE[: DISCARD_OCTETS // 2]])
    mailbox = await warm.open()
    await half_read_and_let_go(mailbox, uid)
    await mailbox.close()
    assert await read(await warm.open(), 1) == ONE
    assert fake.counts.connections == 1


async def test_a_client_that_hangs_up_during_its_login_leaves_a_connection_for_the_next(
    fake: FakeImap, warm: Upstream
) -> None:
    asked, answer = threading.Event(), threading.Event()
    rule = fake.on("SELECT", lambda *_: asked.set(), Hold(answer))
    task = asyncio.create_task(warm.mailboxes().open(warm.account(), lambda: None))
    await asyncio.to_thread(asked.wait)
    task.cancel()
    await asyncio.wait({task})
    answer.set()
    fake.forgive(rule)
    await settled(lambda: len(warm.connections._warm) == 1)
    await poll(warm)
    assert fake.counts.connections == 1


async def test_it_rests_without_what_the_last_session_left_in_memory(fake: FakeImap, warm: Upstream) -> None:
    fake.deliver("ann", [ONE] * 20_000)
    mailbox = await warm.open()
    client = mailbox._client
    assert client is not None
    await commit(mailbox, retrieved=tuple(mailbox.snapshot.uids))
    await mailbox.close()
    assert sys.getsizeof(client.transport.held) < 1000
    assert not client._imap.untagged_responses
    assert not client._imap._cmd_log
