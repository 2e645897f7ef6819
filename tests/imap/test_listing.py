"""The listing: exact, or an error; never shorter than the mailbox is."""

import pytest

from gateway.errors import (
    GatewayError,
    UpstreamDeclined,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from gateway.maildrop import Snapshot
from tests.fakes.faults import Bye, Close, Edit, Insert, ReadOnly, Say, TagLast
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.row_faults import FlagsOnly, Item, Newest, NoRow, Order, Renumber, Reverse, Twice, Without
from tests.imap.conftest import ONE, THREE, TWO, Upstream


def pairs(snapshot: Snapshot) -> list[tuple[int, int]]:
    return list(zip(snapshot.uids, snapshot.sizes, strict=True))


ALL = [(1, len(ONE)), (2, len(TWO)), (3, len(THREE))]


async def test_the_snapshot_is_the_mailbox(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    assert pairs(mailbox.snapshot) == ALL
    assert mailbox.snapshot.uidvalidity == fake.uid_validity("ann")
    assert not mailbox.snapshot.read_only


@pytest.mark.parametrize("fault", [None, Say("BAD no message *"), Say("NO no such messages")], ids=repr)
async def test_an_empty_mailbox_is_empty_though_some_call_its_listing_an_error(
    fake: FakeImap, upstream: Upstream, fault: Fault | None
) -> None:
    fake.expunge("ann", [1, 2, 3])
    if fault:
        fake.on("UID FETCH", fault)
    assert len((await upstream.open()).snapshot) == 0
    assert fake.verbs == ["LOGIN", "SELECT", "UID FETCH"]


@pytest.mark.parametrize(
    "folder", ["inbox", "Entwürfe", "a & b", 'a "quoted" one', "back\\slash", "two words", "&"]
)
async def test_any_folder_can_be_the_maildrop(fake: FakeImap, upstream: Upstream, folder: str) -> None:
    fake.deliver("ann", [ONE], folder)
    snapshot = (await upstream.open(upstream.account(folder=folder))).snapshot
    assert len(snapshot) == (4 if folder == "inbox" else 1)


@pytest.mark.parametrize(
    "fault",
    [
        Order("RFC822.SIZE", "UID"),
        Reverse(),
        Twice(),
        Renumber(77),
        Insert("* 9 EXISTS", "* OK hello", "* 1 FETCH (FLAGS (\\Seen))", at="between"),
        Insert("* 1 FETCH (UID 1 FLAGS (\\Seen))", at="after"),
        Insert("* 2 RECENT", at="behind"),
    ],
    ids=repr,
)
async def test_a_listing_in_disorder_is_put_in_order(fake: FakeImap, upstream: Upstream, fault: Fault) -> None:
    fake.on("UID FETCH", fault)
    assert pairs((await upstream.open()).snapshot) == ALL


SHORT: list[Fault] = [NoRow(), Newest(2), FlagsOnly(), Without("UID"), Without("RFC822.SIZE"), Item("UID", "1")]


@pytest.mark.parametrize("fault", SHORT, ids=repr)
async def test_a_short_listing_is_asked_for_again(fake: FakeImap, upstream: Upstream, fault: Fault) -> None:
    fake.on("UID FETCH", fault, uid=2, times=1)
    assert pairs((await upstream.open()).snapshot) == ALL
    assert fake.verbs == ["LOGIN", "SELECT", "UID FETCH", "SELECT", "UID FETCH"]


@pytest.mark.parametrize("fault", [*SHORT, Say("OK done"), Say("OK [LIMIT] that is all")], ids=repr)
async def test_and_a_listing_that_stays_short_is_an_error(
    fake: FakeImap, upstream: Upstream, fault: Fault
) -> None:
    fake.on("UID FETCH", fault, uid=2)
    with pytest.raises(UpstreamError):
        await upstream.open()


async def test_a_mailbox_that_says_it_is_empty_after_a_short_listing_is_believed_only_by_select(
    fake: FakeImap, upstream: Upstream
) -> None:
    fake.on("UID FETCH", lambda *_: fake.expunge("ann", [1, 2, 3]), times=1)
    assert len((await upstream.open()).snapshot) == 0
    assert fake.verbs.count("SELECT") <= 2


async def test_what_is_expunged_while_we_look_is_not_missing(fake: FakeImap, upstream: Upstream) -> None:
    fake.on("UID FETCH", lambda *_: fake.expunge("ann", [2]), times=1)
    assert pairs((await upstream.open()).snapshot) == [ALL[0], ALL[2]]
    assert fake.verbs == ["LOGIN", "SELECT", "UID FETCH"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Say("NO [NONEXISTENT] no such mailbox"), UpstreamUnusable),
        (Say("NO Mailbox doesn't exist: Nope"), UpstreamUnusable),  # Dovecot, Exchange
        (Say("NO Mailbox does not exist"), UpstreamUnusable),  # Cyrus
        (Say("NO [SERVERBUG] the mailbox does not exist now"), UpstreamRefused),
        (Say("NO [SERVERBUG] oops"), UpstreamRefused),
        (Say("NO oops"), UpstreamDeclined),
        (Say("BAD oops"), UpstreamDeclined),
        (Say("BAD [CONTACTADMIN] oops"), UpstreamUnusable),
        (Say("OK fine"), UpstreamError),
        (Edit("EXISTS", None), UpstreamError),
        (Edit("UIDVALIDITY", None), UpstreamUnusable),
        (Edit(r"UIDVALIDITY \d+", "UIDVALIDITY 0"), UpstreamUnusable),
        (Edit(r"UIDVALIDITY \d+", "UIDVALIDITY 4294967296"), UpstreamUnusable),
        (Edit(r"UIDVALIDITY \d+", "UIDVALIDITY x"), UpstreamError),
        (Edit(r"\d+ EXISTS", "x EXISTS"), UpstreamError),
        (Edit(r"\d+ EXISTS", "4 EXISTS"), UpstreamError),
        (Close(), UpstreamUnreachable),
        (Close(octets=40), UpstreamUnreachable),
        (Bye(), UpstreamUnreachable),
        (Bye(done=True), UpstreamUnreachable),
    ],
    ids=repr,
)
async def test_a_select_that_fails(
    fake: FakeImap, upstream: Upstream, fault: Fault, kind: type[GatewayError]
) -> None:
    fake.on("SELECT", fault)
    with pytest.raises(kind) as caught:
        await upstream.open()
    assert type(caught.value) is kind or kind is UpstreamError


async def test_a_folder_that_is_not_there(upstream: Upstream) -> None:
    with pytest.raises(UpstreamUnusable, match="opening the folder Nowhere"):
        await upstream.open(upstream.account(folder="Nowhere"))


async def test_tagged_lines_may_come_after_all_that_they_complete(fake: FakeImap, upstream: Upstream) -> None:
    fake.on("SELECT", TagLast())
    fake.on("UID FETCH", TagLast())
    assert pairs((await upstream.open()).snapshot) == ALL


# Read-only


@pytest.mark.parametrize(
    "fault",
    [
        ReadOnly(),
        Edit("READ-WRITE", "READ-ONLY"),
        Edit(r"PERMANENTFLAGS \(.*\)", "PERMANENTFLAGS ()"),
        Edit(r"PERMANENTFLAGS \(.*\)", "PERMANENTFLAGS (\\\\Seen \\\\*)"),
        Edit("READ-WRITE", "read-only"),
    ],
    ids=repr,
)
async def test_a_mailbox_where_nothing_can_be_deleted_is_read_only(
    fake: FakeImap, upstream: Upstream, fault: Fault
) -> None:
    fake.on("SELECT", fault)
    snapshot = (await upstream.open()).snapshot
    assert snapshot.read_only
    assert pairs(snapshot) == ALL
    assert fake.verbs == ["LOGIN", "SELECT", "UID FETCH"]


@pytest.mark.parametrize(
    "fault",
    [
        Edit("PERMANENTFLAGS", None),
        Edit(r"\\Deleted", r"\\DELETED"),
        Edit(r"PERMANENTFLAGS \(", "PERMANENTFLAGS (1 NIL [x] $ "),
        Edit("READ-WRITE. ", ""),
        Edit("RECENT", None),
        Edit("UIDNEXT", None),
        Insert("* 2 EXISTS", "* 3 EXISTS"),
        Insert("* 7 EXISTS", "* 7 EXPUNGE", "* OK [CLOSED] the one before"),
        Insert("* OK [UIDNEXT x] odd", "* OK [HIGHESTMODSEQ", "* OK []", "* NO [UIDVALIDITY 7] odd", at="after"),
    ],
    ids=repr,
)
async def test_a_select_that_says_less_or_more_than_usual_is_no_reason_to_refuse(
    fake: FakeImap, upstream: Upstream, fault: Fault
) -> None:
    fake.on("SELECT", fault)
    snapshot = (await upstream.open()).snapshot
    assert pairs(snapshot) == ALL
    assert not snapshot.read_only
