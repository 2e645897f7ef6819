"""What a look at a mailbox that is remembered costs."""

from pathlib import Path

import pytest

from gateway.maildrop import OnDelete
from gateway.maildrop import listing as pure_module
from gateway.maildrop.listing import FEW
from tests.fakes.imap import FakeImap
from tests.imap.conftest import ONE, Upstream, commit
from tests.imap.known_mailbox.conftest import KNOWN, WHOLE, kept, numbered, reasons, remember, session


async def test_the_first_look_lists_all_behind_select(fake: FakeImap, upstream: Upstream) -> None:
    assert await session(fake, upstream) == (WHOLE, 2)


async def test_an_unchanged_mailbox_takes_one_flight_and_a_few_rows(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    before = fake.counts.octets_out
    assert await session(fake, upstream) == (KNOWN, 2)
    assert fake.counts.octets_out - before < 1000


async def test_new_messages_come_in_the_same_flight(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    fake.deliver("ann", [numbered(500), numbered(501), numbered(502)])
    assert await session(fake, upstream) == (KNOWN, 2)


async def test_and_so_they_do_where_uids_were_left_out(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", fake.deliver("ann", [ONE] * 5)[1:4])
    assert await session(fake, upstream) == (KNOWN, 2)


@pytest.mark.parametrize("esearch", [True, False])
@pytest.mark.parametrize("new", [0, 1, 2])
async def test_where_others_expunged_all_uids_are_asked_and_no_size(
    fake: FakeImap, upstream: Upstream, esearch: bool, new: int
) -> None:
    """EXISTS is the same with one new message: that alone proves nothing."""
    fake.settings.capabilities += ["ESEARCH"] * esearch
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    fake.deliver("ann", [numbered(500)] * new)
    search = "RETURN (ALL) ALL" if esearch else "ALL"
    assert await session(fake, upstream) == ([*KNOWN, search], 3)
    new_last = 103 + new
    assert await session(fake, upstream) == ([f"1:4,{new_last}:*", f"{new_last + 1}:{new_last + 1000}"], 2)


async def test_the_first_may_go_for_nothing(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", [4])
    assert await session(fake, upstream) == (KNOWN, 2)
    assert await session(fake, upstream) == (["1:5,103:*", "104:1103"], 2)


async def test_where_the_last_few_are_gone_the_youngest_that_is_left_is_looked_at(
    fake: FakeImap, upstream: Upstream
) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", range(90, 104))
    fake.deliver("ann", [ONE])
    assert await session(fake, upstream) == ([*KNOWN, "ALL", "89"], 4)
    assert await session(fake, upstream) == (["1:4,104:*", "105:1104"], 2)


@pytest.mark.parametrize("gone", [[], [110]], ids=["all stay", "one goes before its size is told"])
async def test_many_new_messages_take_a_flight_more(
    fake: FakeImap, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, gone: list[int]
) -> None:
    """Their sizes are asked for before it is known whether they exist, so they are not asked for without end."""
    await remember(fake, upstream)
    monkeypatch.setattr(pure_module, "NEXT", 5)
    fake.deliver("ann", [ONE] * 10)
    fake.on("UID FETCH", lambda *_: fake.expunge("ann", gone), has="109:113", times=1)
    assert await session(fake, upstream) == (["1:4,103:*", "104:108", "ALL", "109:113"], 4)


async def test_our_own_deletions_cost_no_flight(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await remember(fake, upstream)
    await commit(mailbox, delete=(4, 5, 50, 51, 103))
    fake.deliver("ann", [ONE])
    assert await session(fake, upstream) == (["1:6,50:51,102:*", "102:1101"], 2)
    assert await session(fake, upstream) == (["1:6,104:*", "105:1104"], 2)


async def test_nor_do_those_that_were_flagged_only(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open(upstream.account(on_delete=OnDelete.FLAG))
    await commit(mailbox, delete=(50, 51, 103))
    assert await session(fake, upstream) == (["1:4,50:51,102:*", "102:1101"], 2)


async def test_a_small_mailbox_is_listed_whole_and_leaves_no_file(
    fake: FakeImap, upstream: Upstream, folder: Path
) -> None:
    await session(fake, upstream)
    assert len(kept(folder)) == 1
    await commit(upstream.opened[0], delete=tuple(range(4, 104 - FEW + 1)))
    assert kept(folder) == []
    for _ in range(2):
        assert await session(fake, upstream) == (WHOLE, 2)
    assert kept(folder) == []


async def test_nothing_is_written_before_it_is_worth_it(fake: FakeImap, upstream: Upstream, folder: Path) -> None:
    await remember(fake, upstream)
    (file,) = kept(folder)
    before = file.stat().st_ino
    for many in (0, 1, FEW - 2):
        fake.deliver("ann", [ONE] * many)
        await session(fake, upstream)
        assert file.stat().st_ino == before
    fake.deliver("ann", [ONE])
    await session(fake, upstream)
    assert file.stat().st_ino != before


async def test_users_and_folders_are_apart(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    fake.deliver("ann", [ONE] * 40, "Archive")
    other = await upstream.open(upstream.account(folder="Archive"))
    assert len(other.snapshot) == 40
    assert reasons(upstream) == []
