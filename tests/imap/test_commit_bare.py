"""QUIT at a server without UIDPLUS: a bare EXPUNGE takes whatever is flagged, so only where that is just ours."""

import pytest

from gateway.errors import UpstreamError
from tests.fakes.faults import Bye, Close, Edit, Insert, Say
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.imap.conftest import BREAKS, Upstream, commit, flags, since_login, uids


@pytest.fixture(autouse=True)
def bare(fake: FakeImap) -> None:
    fake.settings.capabilities = ["IMAP4rev1"]


async def test_ours_is_removed_where_nobody_elses_would_go(fake: FakeImap, upstream: Upstream) -> None:
    await commit(await upstream.open(), delete=(1, 3))
    assert uids(fake) == [2]
    assert since_login(fake) == ["UID SEARCH", "UID STORE", "UID SEARCH", "EXPUNGE", "UID SEARCH"]


async def test_nothing_is_removed_where_somebody_elses_would_go(others: FakeImap, upstream: Upstream) -> None:
    with pytest.raises(UpstreamError) as caught:
        await commit(await upstream.open(), delete=(1,))
    assert flags(others) == {1: set(), 2: set(), 3: {"\\Deleted"}}
    assert not {"UID STORE", "EXPUNGE"} & set(others.verbs)
    assert "flagged as deleted" in caught.value.reply


@pytest.mark.parametrize(
    "fault",
    [
        Edit("SEARCH", None),
        Edit(r"SEARCH.*", "SEARCH"),
        Edit(r"SEARCH.*", "SEARCH x"),
        Edit(r"SEARCH.*", "SEARCH 1 x"),
        Edit(r"SEARCH.*", "SEARCH 1 " + "(" * 3000),
        Edit(r"SEARCH.*", "SEARCH {3}\r\n1 2"),
        Insert("* SEARCH 1"),
        Say("NO not now"),
        Say("BAD what"),
        Say("OK done"),
        Close(),
        Bye(),
    ],
    ids=lambda fault: repr(fault)[:60],
)
async def test_a_search_that_is_not_answered_is_not_taken_for_nobody_elses(
    others: FakeImap, upstream: Upstream, fault: Fault
) -> None:
    others.on("UID SEARCH", fault, times=1)
    with pytest.raises(UpstreamError):
        await commit(await upstream.open(), delete=(1,))
    assert uids(others) == [1, 2, 3]
    assert "EXPUNGE" not in others.verbs


async def test_there_is_nothing_to_expunge_where_ours_are_gone(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.expunge("ann", [1])
    await commit(mailbox, delete=(1,))
    assert uids(fake) == [2, 3]
    assert "EXPUNGE" not in fake.verbs


@pytest.mark.parametrize("fault", [Say("NO odd"), Say("NO [NOPERM] no"), Say("OK done")], ids=repr)
async def test_what_was_not_removed_bears_no_flag_that_would_be_in_the_way_of_the_next(
    fake: FakeImap, upstream: Upstream, fault: Fault
) -> None:
    fake.flag("ann", [2], "\\Deleted")
    rule = fake.on("EXPUNGE", fault)
    with pytest.raises(UpstreamError):
        await commit(await upstream.open(), delete=(1, 2))
    assert flags(fake) == {1: set(), 2: {"\\Deleted"}, 3: set()}
    fake.forgive(rule)
    await commit(await upstream.open(), delete=(2, 3))
    assert uids(fake) == [1]


async def test_nor_what_stays_because_somebody_else_flags_meanwhile(fake: FakeImap, upstream: Upstream) -> None:
    fake.on("UID STORE", lambda *_: fake.flag("ann", [3], "\\Deleted"), times=1)
    with pytest.raises(UpstreamError, match="other messages"):
        await commit(await upstream.open(), delete=(1,))
    assert flags(fake) == {1: set(), 2: set(), 3: {"\\Deleted"}}


@pytest.mark.parametrize("fault", BREAKS, ids=repr)
async def test_somebody_elses_stays_whenever_it_breaks(others: FakeImap, upstream: Upstream, fault: Fault) -> None:
    mailbox = await upstream.open()
    others.on("UID SEARCH", fault, times=1)
    with pytest.raises(UpstreamError):
        await commit(mailbox, delete=(1,))
    assert uids(others) == [1, 2, 3]
