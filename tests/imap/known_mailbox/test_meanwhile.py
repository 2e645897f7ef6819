"""What others do to a mailbox while a look at it goes on, and what a server says unasked."""

import pytest

from gateway.imap.mailbox import UpstreamMailbox
from tests.fakes.faults import Insert, TagLast
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.row_faults import Order, Renumber, Reverse, Twice
from tests.imap.conftest import ONE, Upstream
from tests.imap.known_mailbox.conftest import KNOWN, remember, session


def told_of(mailbox: UpstreamMailbox) -> set[int]:
    return set(mailbox.snapshot.uids)


async def test_what_arrives_while_we_look_is_in_the_snapshot_or_in_the_next(
    fake: FakeImap, upstream: Upstream
) -> None:
    await remember(fake, upstream)

    def arrive(*_: object) -> None:
        fake.deliver("ann", [ONE])

    fake.on("UID FETCH", arrive, times=1)
    mailbox = await upstream.open()
    assert set(range(4, 104)) <= told_of(mailbox) <= set(range(4, 105))
    await session(fake, upstream)


@pytest.mark.parametrize("gone", [4, 50, 103])
async def test_an_expunge_while_we_look_hides_none_that_went_before(
    fake: FakeImap, upstream: Upstream, gone: int
) -> None:
    """51 went before SELECT and 104 arrived: with another one expunged in the answer the counts would be right."""
    await remember(fake, upstream)
    fake.expunge("ann", [51])
    fake.deliver("ann", [ONE, ONE])
    fake.on("UID FETCH", lambda *_: fake.expunge("ann", [gone]), times=1)
    mailbox = await upstream.open()
    assert told_of(mailbox) - {gone} == set(range(4, 106)) - {51, gone}
    await session(fake, upstream)


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        ("SELECT", Insert("* 7 EXISTS", "* 3 EXPUNGE")),
        ("SELECT", Insert("* 3 FETCH (UID 6 FLAGS (\\Seen))", "* OK [UNSEEN 3] first", "* 5 RECENT", at="after")),
        ("SELECT", Insert("* 100 EXISTS", at="after")),
        ("UID FETCH", Insert("* 100 EXISTS", "* 3 FETCH (FLAGS (\\Seen))", "* OK still here")),
        ("UID FETCH", Insert("* 3 FETCH (UID 6 FLAGS (\\Seen))", at="between")),
        ("UID FETCH", Insert("* 101 EXISTS", "* 1 RECENT", at="after")),
    ],
    ids=repr,
)
async def test_unsolicited_responses_change_nothing(
    fake: FakeImap, upstream: Upstream, verb: str, fault: Fault
) -> None:
    await remember(fake, upstream)
    fake.on(verb, fault)
    assert await session(fake, upstream) == (KNOWN, 2)


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        ("SELECT", Insert("* 101 EXISTS", at="after")),
        ("SELECT", Insert("* 1 EXPUNGE", at="after")),
        ("UID FETCH", Insert("* 1 EXPUNGE", at="after")),
        ("UID FETCH", Insert("* 1 EXPUNGE", at="between")),
    ],
    ids=repr,
)
async def test_those_that_count_messages_are_counted(
    fake: FakeImap, upstream: Upstream, verb: str, fault: Fault
) -> None:
    """They are not true here, so what comes of them is that all UIDs are looked at."""
    await remember(fake, upstream)
    fake.on(verb, fault, times=1)
    cost, _ = await session(fake, upstream)
    assert cost[:3] == [*KNOWN, "ALL"]


async def test_exists_that_comes_after_the_rows_is_not_theirs(fake: FakeImap, upstream: Upstream) -> None:
    """One was expunged before SELECT, and one arrives after the rows: the counts would be right."""
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    fake.on("UID FETCH", Insert("* 100 EXISTS", at="after"), times=1)
    assert (await session(fake, upstream))[0][:3] == [*KNOWN, "ALL"]


@pytest.mark.parametrize("fault", [Order("INTERNALDATE", "*"), Reverse(), Twice(), Renumber(7)], ids=repr)
async def test_rows_in_disorder_are_read(fake: FakeImap, upstream: Upstream, fault: Fault) -> None:
    await remember(fake, upstream)
    fake.deliver("ann", [ONE, ONE])
    fake.on("UID FETCH", fault)
    assert await session(fake, upstream) == (KNOWN, 2)


async def test_tagged_lines_may_come_last(fake: FakeImap, upstream: Upstream) -> None:
    fake.on("*", TagLast())
    await remember(fake, upstream)
    assert await session(fake, upstream) == (KNOWN, 2)
    fake.expunge("ann", [50])
    assert await session(fake, upstream) == ([*KNOWN, "ALL"], 3)
