"""The listing: exact, or an error; never shorter than the mailbox is."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import (
    GatewayError,
    UpstreamDeclined,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from gateway.imap.faults import translated
from gateway.imap.listing import Selected, _list
from gateway.maildrop import Snapshot
from tests.fakes.faults import Bye, Close, Edit, Insert, ReadOnly, Say
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.row_faults import FlagsOnly, Item, Newest, NoRow, Order, Renumber, Reverse, Twice, Without
from tests.imap.conftest import ONE, THREE, TWO, Upstream
from tests.imap.wire import Scripted, cut, every_cut

DONE = b"GW1 OK done\r\n"
SHAPES = [
    b"UID %(uid)d RFC822.SIZE %(size)d",
    b"UID %(uid)d RFC822.SIZE %(size)d",
    b"RFC822.SIZE %(size)d UID %(uid)d",
    b"uid %(uid)d rfc822.size %(size)d",
    b"UID %(uid)d FLAGS (\\Seen $x) RFC822.SIZE %(size)d",
    b"FLAGS () RFC822.SIZE %(size)d MODSEQ (77) UID %(uid)d",
    b'X {4}\r\n)\r\n( UID %(uid)d Y "(\\"" RFC822.SIZE %(size)d',
    b"UID %(uid)d RFC822.SIZE %(size)d ",
]
CHATTER = [
    b"* OK still busy\r\n",
    b"* 7 EXISTS\r\n",
    b"* 3 FETCH (FLAGS (\\Seen))\r\n",
    b"* 3 FETCH (UID 4 FLAGS (\\Seen))\r\n",
    b"* 3 FETCH (RFC822.SIZE 9)\r\n",
    b"* 9 FETCH ()\r\n",
    b"* LIST () {3}\r\nGW1 x\r\n",
]


@dataclass(frozen=True)
class Row:
    uid: int
    size: int
    shape: bytes
    behind: bytes

    def line(self, number: int) -> bytes:
        items = self.shape % {b"uid": self.uid, b"size": self.size}
        return b"* %d FETCH (%s)\r\n%s" % (number, items, self.behind)


ROWS = st.lists(
    st.builds(
        Row,
        st.one_of(st.integers(1, 9), st.integers(1, 0xFFFFFFFF)),
        st.integers(0, 2**63 - 1),
        st.sampled_from(SHAPES),
        st.sampled_from([b"", b"", b"", *CHATTER]),
    ),
    max_size=12,
)


def listed(*pieces: bytes) -> Snapshot:
    with translated("listing"):
        return _list(Scripted(*pieces), 1, 5.0).snapshot(Selected(9, 1, False))


def pairs(snapshot: Snapshot) -> list[tuple[int, int]]:
    return list(zip(snapshot.uids, snapshot.sizes, strict=True))


@settings(max_examples=200, deadline=None)
@given(ROWS, st.data())
def test_rows_of_any_shape_in_any_order_in_any_pieces_are_the_listing(
    rows: list[Row], data: st.DataObject
) -> None:
    answer = b"".join(row.line(number) for number, row in enumerate(rows, 1)) + DONE
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=6))
    assert pairs(listed(*cut(answer, cuts))) == sorted({row.uid: row.size for row in rows}.items())


def test_no_boundary_between_packets_makes_a_difference() -> None:
    answer = b"".join(Row(7 - n, n, SHAPES[n], CHATTER[n]).line(n + 1) for n in range(7)) + DONE
    assert {tuple(pairs(listed(*pieces))) for pieces in every_cut(answer)} == {tuple(pairs(listed(answer)))}


def test_what_stands_behind_the_answer_is_left_for_the_next_command() -> None:
    transport = Scripted(Row(1, 10, SHAPES[0], b"").line(1) + DONE + b"* 2 EXISTS\r\n")
    assert pairs(_list(transport, 1, 5.0).snapshot(Selected(9, 1, False))) == [(1, 10)]
    assert transport.readline() == b"* 2 EXISTS\r\n"


def test_ten_thousand_rows_of_another_shape_are_read_too() -> None:
    rows = [Row(uid, uid, SHAPES[2], b"").line(uid) for uid in range(1, 10_001)]
    assert len(listed(*cut(b"".join(rows) + DONE, range(0, 400_000, 65_536)))) == 10_000


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", UpstreamUnreachable),
        (b"* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n", UpstreamUnreachable),
        (b"* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n* BYE\r\n", UpstreamUnreachable),
        (b"GW1 NO [LIMIT] too many\r\n", UpstreamRefused),
        (b"GW1 BAD what\r\n", UpstreamError),
        (b"GWX OK done\r\n", UpstreamError),
        (b"* 1 FETCH (UID 4294967296 RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID -1 RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID x RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID 1_0 RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID +1 RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID 1 RFC822.SIZE 99999999999999999999)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID 1 RFC822.SIZE 9223372036854775808)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID 1 RFC822.SIZE -1)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID 1 RFC822.SIZE " + b"9" * 5000 + b")\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID 1 RFC822.SIZE 10\r\n" + DONE, UpstreamError),
        (b"* " + b"9" * 5000 + b" EXISTS\r\n" + DONE, UpstreamError),
        (b"garbage\r\n" + DONE, UpstreamError),
    ],
)
def test_an_answer_outside_the_grammar_is_an_error(answer: bytes, kind: type[GatewayError]) -> None:
    with pytest.raises(kind) as caught:
        listed(answer)
    assert type(caught.value) is kind


# With a server


ALL = [(1, len(ONE)), (2, len(TWO)), (3, len(THREE))]


async def test_the_snapshot_is_the_mailbox(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    assert pairs(mailbox.snapshot) == ALL
    assert mailbox.snapshot.uidvalidity == fake.uid_validity("ann")
    assert not mailbox.snapshot.read_only


async def test_an_empty_mailbox_is_not_listed(fake: FakeImap, upstream: Upstream) -> None:
    fake.expunge("ann", [1, 2, 3])
    assert len((await upstream.open()).snapshot) == 0
    assert fake.verbs == ["LOGIN", "SELECT"]


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


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Say("NO [NONEXISTENT] no such mailbox"), UpstreamUnusable),
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
    with pytest.raises(UpstreamUnusable, match="opening Nowhere"):
        await upstream.open(upstream.account(folder="Nowhere"))


# Read-only


@pytest.mark.parametrize(
    "fault",
    [
        ReadOnly(),
        Edit("READ-WRITE", "READ-ONLY"),
        Edit(r"PERMANENTFLAGS \(.*\)", "PERMANENTFLAGS ()"),
        Edit(r"PERMANENTFLAGS \(.*\)", "PERMANENTFLAGS (\\\\Seen \\\\*)"),
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


async def test_one_that_only_examine_opens_is_read_only_whatever_examine_says(
    fake: FakeImap, upstream: Upstream
) -> None:
    fake.on("SELECT", ReadOnly())
    fake.on("EXAMINE", Edit("PERMANENTFLAGS", None), Edit(r"\[READ-ONLY\] ", ""))
    assert (await upstream.open()).snapshot.read_only


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


@pytest.mark.parametrize(
    ("told", "known"),
    [("4294967295", 4294967295), ("4294967296", 0), ("9223372036854775808", 0), ("-5", 0), ("0", 0)],
)
async def test_a_uidnext_outside_its_range_was_not_told(
    fake: FakeImap, upstream: Upstream, told: str, known: int
) -> None:
    fake.on("SELECT", Edit(r"UIDNEXT \d+", f"UIDNEXT {told}"))
    assert (await upstream.open()).snapshot.uidnext == known


async def test_the_largest_size_is_a_size(fake: FakeImap, upstream: Upstream) -> None:
    fake.on("UID FETCH", Item("RFC822.SIZE", str(2**63 - 1)), uid=2)
    assert (await upstream.open()).snapshot.size_of(2) == 2**63 - 1
