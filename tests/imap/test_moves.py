"""QUIT where deleting means moving: to the bin or the archive, once, and nothing else with it."""

from dataclasses import replace

import pytest

from gateway.errors import UpstreamDeclined, UpstreamError, UpstreamUnusable
from gateway.maildrop import CommitPlan, OnDelete
from gateway.ports import Account
from tests.fakes.faults import Bye, Close, Say
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.imap.conftest import ONE, THREE, TWO, Upstream, commit, uids

MOVE = ["IMAP4rev1", "UIDPLUS", "MOVE", "SPECIAL-USE"]
COPY = ["IMAP4rev1", "UIDPLUS", "SPECIAL-USE"]
BARE = ["IMAP4rev1", "SPECIAL-USE"]
EACH = pytest.mark.parametrize("capabilities", [MOVE, COPY, BARE], ids=["MOVE", "COPY", "COPY and no UIDPLUS"])


def account(upstream: Upstream, on_delete: OnDelete, **folders: str) -> Account:
    made = upstream.account()
    return replace(made, policy=replace(made.policy, on_delete=on_delete, **folders))  # type: ignore[arg-type]


@pytest.fixture
def bin_of(fake: FakeImap) -> FakeImap:
    """With a folder that is the bin, and is not called so."""
    fake.deliver("ann", [], "Müll & mehr")
    fake.settings.special_use = {"Müll & mehr": "\\Trash"}
    return fake


def binned(fake: FakeImap) -> list[bytes]:
    return [stored.octets for stored in fake.messages("ann", "Müll & mehr")]


@EACH
async def test_trash_moves_to_the_folder_that_the_server_names(
    bin_of: FakeImap, upstream: Upstream, capabilities: list[str]
) -> None:
    bin_of.settings.capabilities = capabilities
    await commit(await upstream.open(account(upstream, OnDelete.TRASH)), delete=(1, 3))
    assert uids(bin_of) == [2]
    assert binned(bin_of) == [ONE, THREE]


async def test_a_folder_that_is_named_in_the_settings_wins(bin_of: FakeImap, upstream: Upstream) -> None:
    bin_of.deliver("ann", [], "Old mail")
    chosen = account(upstream, OnDelete.ARCHIVE, archive="Old mail")
    await commit(await upstream.open(chosen), delete=(1,))
    assert [stored.octets for stored in bin_of.messages("ann", "Old mail")] == [ONE]
    assert binned(bin_of) == []


@EACH
async def test_where_there_is_no_such_folder_nothing_is_deleted(
    fake: FakeImap, upstream: Upstream, capabilities: list[str]
) -> None:
    fake.settings.capabilities = capabilities
    for chosen in (account(upstream, OnDelete.TRASH), account(upstream, OnDelete.TRASH, trash="Nowhere")):
        with pytest.raises(UpstreamUnusable):
            await commit(await upstream.open(chosen), delete=(1,))
    assert uids(fake) == [1, 2, 3]


@EACH
async def test_what_somebody_else_flagged_stays(
    bin_of: FakeImap, upstream: Upstream, capabilities: list[str]
) -> None:
    bin_of.settings.capabilities = capabilities
    bin_of.flag("ann", [2], "\\Deleted")
    mailbox = await upstream.open(account(upstream, OnDelete.TRASH))
    if capabilities is BARE:
        with pytest.raises(UpstreamError):
            await commit(mailbox, delete=(1,))
        assert binned(bin_of) == []
    else:
        await commit(mailbox, delete=(1,))
    assert 2 in uids(bin_of)
    assert "EXPUNGE" not in bin_of.verbs


async def test_a_copy_that_is_refused_deletes_nothing(bin_of: FakeImap, upstream: Upstream) -> None:
    bin_of.settings.capabilities = COPY
    bin_of.on("UID COPY", Say("NO [OVERQUOTA] full"))
    with pytest.raises(UpstreamError):
        await commit(await upstream.open(account(upstream, OnDelete.TRASH)), delete=(1,))
    assert uids(bin_of) == [1, 2, 3]


@pytest.mark.parametrize("fault", [Close(), Close(done=True), Bye(), Bye(done=True)], ids=repr)
@pytest.mark.parametrize(
    ("capabilities", "verb"),
    [(MOVE, "UID MOVE"), (COPY, "UID COPY"), (COPY, "UID STORE"), (COPY, "UID EXPUNGE"), (BARE, "EXPUNGE")],
)
async def test_a_connection_that_breaks_makes_no_second_copy(
    bin_of: FakeImap, upstream: Upstream, capabilities: list[str], verb: str, fault: Fault
) -> None:
    bin_of.settings.capabilities = capabilities
    mailbox = await upstream.open(account(upstream, OnDelete.TRASH))
    bin_of.on(verb, fault, times=1)
    await commit(mailbox, delete=(1,))
    assert uids(bin_of) == [2, 3]
    unknown = verb == "UID COPY"  # whether it was done: one copy too many is better than none
    assert binned(bin_of) in ([ONE], [ONE, ONE] if unknown else [ONE])


@pytest.mark.parametrize(("extension", "moved"), [("X-GM-EXT-1", True), ("X-OTHER", False)])
async def test_auto_moves_at_gmail_and_expunges_elsewhere(
    bin_of: FakeImap, upstream: Upstream, extension: str, moved: bool
) -> None:
    bin_of.settings.capabilities = [*MOVE, extension]
    await commit(await upstream.open(account(upstream, OnDelete.AUTO)), delete=(1,))
    assert uids(bin_of) == [2, 3]
    assert binned(bin_of) == ([ONE] if moved else [])


async def test_a_move_that_moved_nothing_is_not_believed(bin_of: FakeImap, upstream: Upstream) -> None:
    bin_of.settings.capabilities = MOVE
    bin_of.on("UID MOVE", Say("OK done"))
    with pytest.raises(UpstreamDeclined, match="did not remove"):
        await commit(await upstream.open(account(upstream, OnDelete.TRASH)), delete=(1,))


async def test_what_an_earlier_session_copied_is_not_copied_again(bin_of: FakeImap, upstream: Upstream) -> None:
    bin_of.settings.capabilities = COPY
    mailbox = await upstream.open(account(upstream, OnDelete.TRASH))
    told: list[int] = []
    plan = CommitPlan(mailbox.snapshot.uidvalidity, delete=(1, 3), copied=frozenset({1}))
    await mailbox.commit(plan, told.extend)
    assert uids(bin_of) == [2]
    assert binned(bin_of) == [THREE]
    assert told == [3]


@EACH
@pytest.mark.parametrize("named", ["Bin", "inbox"])
async def test_what_is_in_the_bin_already_is_removed(
    fake: FakeImap, upstream: Upstream, capabilities: list[str], named: str
) -> None:
    """Moved to itself it would come back as a new message, again and again."""
    fake.settings.capabilities = capabilities
    here = "Bin" if named == "Bin" else "INBOX"
    if here == "Bin":
        fake.deliver("ann", [ONE, TWO, THREE], "Bin")
    chosen = replace(account(upstream, OnDelete.TRASH, trash=named), folder=here)
    await commit(await upstream.open(chosen), delete=(1,))
    assert [stored.octets for stored in fake.messages("ann", here)] == [TWO, THREE]
