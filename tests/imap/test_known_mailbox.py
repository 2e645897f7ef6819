"""A mailbox that is remembered: what a look at it costs, and that it is never believed too much."""

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import StateError, UpstreamError
from gateway.imap import listing as listing_module
from gateway.imap.mailbox import UpstreamMailbox
from gateway.maildrop import Listing, OnDelete
from gateway.maildrop import listing as pure_module
from gateway.maildrop.listing import BELIEVED_SECONDS, FEW
from gateway.store import FileListings
from gateway.telemetry.events import ListingNotKept, ListingVoid
from tests.fakes.faults import Close, Edit, Insert, Say, TagLast
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.row_faults import Item, NoRow, Order, Renumber, Reverse, Twice
from tests.imap.conftest import ONE, Upstream, commit, read

COUNT = 100
WHOLE = ["1:*"]
# What is asked of the mailbox below: which UIDs there are, and sizes of new ones, and of the last one as long as
# its date is not known.
UNDATED = ["1:4,103:*", "103:1102"]
KNOWN = ["1:4,103:*", "104:1103"]


def numbered(number: int) -> bytes:
    """A message of its own size."""
    return b"Subject: %d\r\n\r\n" % number + b"x" * number


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "listings"


@pytest.fixture(autouse=True)
def remembering(fake: FakeImap, upstream: Upstream, folder: Path) -> None:
    """A hundred messages, UIDs 4 to 103, and a store."""
    fake.expunge("ann", [1, 2, 3])
    fake.deliver("ann", [numbered(number) for number in range(COUNT)])
    upstream.listings = FileListings(folder)


def asked(fake: FakeImap) -> list[str]:
    """What was asked of messages: sets of UIDs, and searches."""
    commands = [command for command in fake.log if command.verb in ("UID FETCH", "UID SEARCH")]
    return [
        command.args.decode() if command.verb == "UID SEARCH" else command.args.decode().split()[0]
        for command in commands
    ]


async def session(fake: FakeImap, upstream: Upstream) -> tuple[list[str], int]:
    """What a login asks, and how many round trips it takes; its snapshot is the mailbox."""
    before, counts = len(asked(fake)), fake.counts
    mailbox = await upstream.open()
    cost = asked(fake)[before:], (fake.counts - counts).round_trips
    assert_exact(mailbox, fake)
    return cost


async def remember(fake: FakeImap, upstream: Upstream) -> UpstreamMailbox:
    """Twice: then the date of the last message is known, too."""
    assert await session(fake, upstream) == (WHOLE, 2)
    assert await session(fake, upstream) == (UNDATED, 2)
    return upstream.opened[-1]


def assert_exact(mailbox: UpstreamMailbox, fake: FakeImap) -> None:
    there = {stored.uid: len(stored.octets) for stored in fake.messages("ann")}
    assert dict(zip(mailbox.snapshot.uids, mailbox.snapshot.sizes, strict=True)) == there


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def spoil(folder: Path) -> None:
    """Nothing can be written there."""
    folder.touch()


def reasons(upstream: Upstream) -> list[str]:
    return [event.why for event in upstream.events if isinstance(event, ListingVoid)]


# What it costs


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


async def test_many_new_messages_take_a_flight_more(
    fake: FakeImap, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their sizes are asked for before it is known whether they exist, so they are not asked for without end."""
    await remember(fake, upstream)
    monkeypatch.setattr(pure_module, "NEXT", 5)
    fake.deliver("ann", [ONE] * 10)
    assert await session(fake, upstream) == (["1:4,103:*", "104:108", "ALL", "109:113"], 4)


async def test_one_of_them_may_go_before_its_size_is_told(
    fake: FakeImap, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    await remember(fake, upstream)
    monkeypatch.setattr(pure_module, "NEXT", 5)
    fake.deliver("ann", [ONE] * 10)
    fake.on("UID FETCH", lambda *_: fake.expunge("ann", [110]), has="109:113", times=1)
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


# What is not believed


async def test_a_server_that_does_not_tell_uidnext_is_always_asked_for_all(
    fake: FakeImap, upstream: Upstream, folder: Path
) -> None:
    fake.on("SELECT", Edit("UIDNEXT", None))
    for _ in range(2):
        assert await session(fake, upstream) == (WHOLE, 2)
    assert kept(folder) == []


async def test_one_that_stops_telling_it_too(fake: FakeImap, upstream: Upstream, folder: Path) -> None:
    await remember(fake, upstream)
    fake.on("SELECT", Edit("UIDNEXT", None))
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UIDNEXT is not told any more"]
    assert kept(folder) == []


async def test_another_uidvalidity_is_another_mailbox(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    fake.renumber("ann")
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UIDVALIDITY changed"]
    assert await session(fake, upstream) == (["1,100:*", "100:1099"], 2)


async def test_uids_that_begin_anew_under_the_same_uidvalidity_are_other_messages(
    fake: FakeImap, upstream: Upstream
) -> None:
    await remember(fake, upstream)
    fake.renumber("ann", validity=fake.uid_validity("ann"))
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UIDNEXT went back"]


async def test_even_when_uidnext_and_exists_are_the_same_again(fake: FakeImap, upstream: Upstream) -> None:
    """From a backup, and then as much mail arrived as was lost."""
    await remember(fake, upstream)
    octets = {stored.uid: stored.octets for stored in fake.messages("ann")}
    fake.renumber("ann", validity=fake.uid_validity("ann"), uids={})
    fake.expunge("ann", range(90, 104))
    validity = fake.uid_validity("ann")
    fake.renumber("ann", validity=validity, uids={})  # UIDNEXT is 90
    fake.deliver("ann", [numbered(900 + number) for number in range(14)])
    assert {stored.uid for stored in fake.messages("ann")} == set(octets)
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UID 103 has another date"]


@pytest.mark.parametrize(
    ("told", "whole"), [("77", False), ("78", False), ("76", True), ("x", False), ("9" * 30, False)]
)
async def test_a_highestmodseq_that_went_back_tells_of_a_restored_mailbox(
    fake: FakeImap, upstream: Upstream, told: str, whole: bool
) -> None:
    rule = fake.on("SELECT", Insert("* OK [HIGHESTMODSEQ 77] highest", at="after"))
    await remember(fake, upstream)
    fake.forgive(rule)
    fake.on("SELECT", Insert(f"* OK [HIGHESTMODSEQ {told}] highest", at="after"))
    assert ("1:*" in (await session(fake, upstream))[0]) is whole


async def test_a_mailbox_is_listed_whole_once_a_day(fake: FakeImap, upstream: Upstream, folder: Path) -> None:
    await remember(fake, upstream)
    assert upstream.listings is not None
    key = upstream.account().maildrop_key
    fresh = upstream.listings.recall(key)
    assert fresh is not None
    for looked in (time.time() - BELIEVED_SECONDS - 1, time.time() + 60):  # a clock may have been set back
        upstream.listings.keep(key, replace(fresh, looked=looked))
        await remember(fake, upstream)
        assert await session(fake, upstream) == (KNOWN, 2)
    assert reasons(upstream) == []


async def test_new_mail_does_not_make_it_younger(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    assert upstream.listings is not None
    key = upstream.account().maildrop_key
    before = upstream.listings.recall(key)
    fake.deliver("ann", [ONE] * FEW)
    await session(fake, upstream)
    after = upstream.listings.recall(key)
    assert before is not None
    assert after is not None
    assert (len(after.uids), after.looked) == (len(before.uids) + FEW, before.looked)


async def test_a_damaged_file_costs_a_listing(fake: FakeImap, upstream: Upstream, folder: Path) -> None:
    await remember(fake, upstream)
    (file,) = kept(folder)
    file.write_bytes(file.read_bytes()[:-1])
    await remember(fake, upstream)
    assert await session(fake, upstream) == (KNOWN, 2)


async def test_what_cannot_be_kept_is_logged_and_asked_for_again(
    fake: FakeImap, upstream: Upstream, folder: Path
) -> None:
    spoil(folder)
    for _ in range(2):
        assert await session(fake, upstream) == (WHOLE, 2)
    failures = [event for event in upstream.events if isinstance(event, ListingNotKept)]
    assert [event.user for event in failures] == ["ann", "ann"]
    assert "Not a directory" in failures[0].error


# What others do meanwhile


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


@pytest.mark.parametrize("date", ["NIL", '" 1-Jan-1970 00:00:00 +0000"', '""'])
async def test_a_message_that_has_another_date_is_not_believed(
    fake: FakeImap, upstream: Upstream, date: str
) -> None:
    await remember(fake, upstream)
    fake.on("UID FETCH", Item("INTERNALDATE", date))
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UID 103 has another date"]


async def test_tagged_lines_may_come_last(fake: FakeImap, upstream: Upstream) -> None:
    fake.on("*", TagLast())
    await remember(fake, upstream)
    assert await session(fake, upstream) == (KNOWN, 2)
    fake.expunge("ann", [50])
    assert await session(fake, upstream) == ([*KNOWN, "ALL"], 3)


# Servers that fail in the middle


@pytest.mark.parametrize("answer", [Say("NO [LIMIT] no"), Say("BAD what?"), Say("OK nothing")], ids=repr)
async def test_a_server_that_does_not_search_lists(fake: FakeImap, upstream: Upstream, answer: Fault) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    fake.on("UID SEARCH", answer)
    assert await session(fake, upstream) == ([*KNOWN, "ALL", *WHOLE], 4)
    assert reasons(upstream) == ["the server does not tell all UIDs"]


async def test_a_search_that_tells_too_few_is_not_believed(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    fake.on("UID SEARCH", Say("OK", ("* SEARCH 4 5 6 103",)))
    assert await session(fake, upstream) == ([*KNOWN, "ALL", *WHOLE], 4)


async def test_a_new_message_that_is_never_listed_is_an_error_and_not_left_out(
    fake: FakeImap, upstream: Upstream
) -> None:
    await remember(fake, upstream)
    (uid,) = fake.deliver("ann", [ONE])
    rule = fake.on("UID FETCH", NoRow(), uid=uid)
    with pytest.raises(UpstreamError, match="lists 100 of 101"):
        await upstream.open()
    fake.forgive(rule)
    await session(fake, upstream)


async def test_many_sizes_are_not_asked_for_one_by_one(
    fake: FakeImap, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UIDs that come back between those that are known: so does no server that keeps RFC 3501."""
    monkeypatch.setattr(listing_module, "MOST_MISSING", 10)
    fake.expunge("ann", range(20, 80, 2))
    await remember(fake, upstream)
    back = dict(zip(fake.deliver("ann", [ONE] * 30), range(20, 80, 2), strict=True))
    fake.renumber("ann", validity=fake.uid_validity("ann"), uids=back)
    assert await session(fake, upstream) == ([*KNOWN, "ALL", *WHOLE], 4)


@pytest.mark.parametrize("verb", ["UID FETCH", "UID SEARCH"])
async def test_a_connection_that_breaks_fails_the_login_and_spoils_nothing(
    fake: FakeImap, upstream: Upstream, verb: str
) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    rule = fake.on(verb, Close(octets=20))
    with pytest.raises(UpstreamError):
        await upstream.open()
    fake.forgive(rule)
    assert await session(fake, upstream) == ([*KNOWN, "ALL"], 3)


# Within a session


async def test_a_new_connection_takes_one_flight_beside_its_login(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.drop()
    before = fake.counts
    await read(mailbox, 50)
    assert asked(fake) == [*WHOLE, *UNDATED, "50"]
    assert (fake.counts - before).round_trips == 3


async def test_a_session_goes_on_though_others_expunge_and_deliver(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    before = mailbox.snapshot
    for gone in ([50], [4, 103], range(95, 103)):
        fake.expunge("ann", gone)
        fake.deliver("ann", [ONE])
        fake.drop()
        assert await read(mailbox, 60) == numbered(56)
    assert mailbox.snapshot is before
    await session(fake, upstream)


async def test_a_session_ends_when_uidnext_goes_back(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.renumber("ann", validity=fake.uid_validity("ann"))
    fake.drop()
    with pytest.raises(UpstreamError, match="UIDNEXT has shrunk"):
        await read(mailbox, 50)


async def test_and_when_a_uid_is_another_message(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    validity = fake.uid_validity("ann")
    fake.renumber("ann", validity=validity, uids={102: 103, 103: 102})
    fake.deliver("ann", [ONE])
    fake.drop()
    with pytest.raises(UpstreamError, match="another message than it was"):
        await read(mailbox, 50)


async def test_deletions_after_a_new_connection_are_followed_too(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.expunge("ann", [50])
    fake.drop()
    await commit(mailbox, delete=(60, 61))
    fake.deliver("ann", [ONE])
    assert await session(fake, upstream) == (["1:4,60:61,103:*", "104:1103"], 2)


async def test_a_deletion_that_fails_is_not_taken_for_done(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.on("UID EXPUNGE", Say("NO not now"))
    with pytest.raises(UpstreamError):
        await commit(mailbox, delete=(60, 61))
    assert await session(fake, upstream) == (UNDATED, 2)


class Failing(FileListings):
    """A disk that fails between two writes."""

    def keep(self, maildrop_key: str, listing: Listing) -> None:
        if listing.gone:
            raise StateError("no space left")
        super().keep(maildrop_key, listing)


async def test_a_quit_whose_listing_cannot_be_kept_is_a_quit(
    fake: FakeImap, upstream: Upstream, folder: Path
) -> None:
    upstream.listings = Failing(folder)
    mailbox = await upstream.open()
    await commit(mailbox, delete=(60, 61))
    assert [type(event) for event in upstream.events] == [ListingNotKept]
    assert await session(fake, upstream) == ([*UNDATED, "ALL"], 3)


async def test_what_is_deleted_has_the_size_that_is_remembered(fake: FakeImap, upstream: Upstream) -> None:
    """This server gives UIDs by place: an old message went, another came among the old ones, and the rest moved.

    What a look at a known mailbox asks for is as it was: UIDVALIDITY, UIDNEXT, EXISTS, the youngest message.
    """
    await remember(fake, upstream)
    fake.expunge("ann", [10])
    [arrived] = fake.deliver("ann", [numbered(5000)])
    validity = fake.uid_validity("ann")
    order = [uid for uid in range(4, 103) if uid != 10]
    order.insert(50, arrived)
    moved = dict(zip(order, range(4, 103), strict=True))
    fake.renumber("ann", validity=validity, uids=moved)
    mailbox = await upstream.open()
    before = [stored.octets for stored in fake.messages("ann")]
    with pytest.raises(UpstreamError, match="UID 30 is another message"):
        await commit(mailbox, delete=(30, 31))
    assert [stored.octets for stored in fake.messages("ann")] == before
    await session(fake, upstream)  # whole, and right again


async def test_that_is_asked_of_a_known_mailbox_only_and_of_these_messages(
    fake: FakeImap, upstream: Upstream
) -> None:
    listed = await upstream.open()
    before = len(asked(fake))
    await commit(listed, delete=(60,))
    assert asked(fake)[before:] == ["UID 60"]  # whether it is gone
    await upstream.open()
    known = await upstream.open()
    before = len(asked(fake))
    await commit(known, delete=(61, 62, 90))
    assert asked(fake)[before:] == ["61:62,90", "UID 61:62,90"]


@pytest.mark.parametrize(
    "line", ['* ESEARCH (TAG "GW1") UID ALL 1:100000', f"* SEARCH {' '.join(map(str, range(1, 3000)))}"]
)
async def test_a_search_without_an_end_is_refused_before_it_is_held(
    fake: FakeImap, upstream: Upstream, line: str
) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    fake.on("UID SEARCH", Insert(*[line] * 300))
    tracemalloc.start()
    with pytest.raises(UpstreamError, match="too many"):
        await upstream.open()
    assert tracemalloc.get_traced_memory()[1] < 16_000_000
    tracemalloc.stop()
