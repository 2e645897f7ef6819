"""The rows that tell UIDs and sizes: of any shape, in any order, in any pieces."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError, UpstreamError, UpstreamRefused, UpstreamUnreachable
from gateway.imap.faults import translated
from gateway.imap.selection import Selection
from gateway.maildrop.listing import EVERYTHING, Question
from tests.imap.wire import Scripted, cut, every_cut

SELECTED = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 9] valid\r\nGW1 OK [READ-WRITE] done\r\n"
DONE = b"GW2 OK done\r\n"
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
    b"* LIST () {3}\r\nGW2 x\r\n",
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


def listed(*pieces: bytes) -> list[tuple[int, int]]:
    return listed_from(Scripted(SELECTED, *pieces))


def listed_from(transport: Scripted) -> list[tuple[int, int]]:
    """UIDs and sizes, as SELECT and the FETCH behind it give them."""
    with translated("listing"):
        _, rows = Selection(transport, "INBOX", 5.0).select(EVERYTHING)
    return list(zip(*rows.columns(), strict=True))


@settings(max_examples=200, deadline=None)
@given(ROWS, st.data())
def test_rows_of_any_shape_in_any_order_in_any_pieces_are_the_listing(
    rows: list[Row], data: st.DataObject
) -> None:
    answer = b"".join(row.line(number) for number, row in enumerate(rows, 1)) + DONE
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=6))
    assert listed(*cut(answer, cuts)) == sorted({row.uid: row.size for row in rows}.items())


def test_no_boundary_between_packets_makes_a_difference() -> None:
    answer = b"".join(Row(7 - n, n, SHAPES[n], CHATTER[n]).line(n + 1) for n in range(7)) + DONE
    assert {tuple(listed(*pieces)) for pieces in every_cut(answer)} == {tuple(listed(answer))}


def test_what_stands_behind_the_answer_is_left_for_the_next_command() -> None:
    transport = Scripted(SELECTED + Row(1, 10, SHAPES[0], b"").line(1) + DONE + b"* 2 EXISTS\r\n")
    assert listed_from(transport) == [(1, 10)]
    assert transport.readline() == b"* 2 EXISTS\r\n"


def test_ten_thousand_rows_of_another_shape_are_read_too() -> None:
    rows = [Row(uid, uid, SHAPES[2], b"").line(uid) for uid in range(1, 10_001)]
    assert len(listed(*cut(b"".join(rows) + DONE, range(0, 400_000, 65_536)))) == 10_000


def test_rows_are_read_though_both_tagged_lines_come_last() -> None:
    """A server may do all of a flight first."""
    told, _, tagged = SELECTED.partition(b"GW1")
    rows = b"".join(Row(uid, uid, SHAPES[0], b"").line(uid) for uid in (1, 2))
    assert listed_from(Scripted(told + rows + b"GW1" + tagged + DONE)) == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", UpstreamUnreachable),
        (b"* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n", UpstreamUnreachable),
        (b"* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n* BYE\r\n", UpstreamUnreachable),
        (b"GW2 NO [LIMIT] too many\r\n", UpstreamRefused),
        (b"GW2 BAD what\r\n", UpstreamError),
        (b"GWX OK done\r\n", UpstreamError),
        (b"* 1 FETCH (UID 4294967296 RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID -1 RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID x RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID 1_0 RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID +1 RFC822.SIZE 10)\r\n" + DONE, UpstreamError),
        (b"* 1 FETCH (UID 1 RFC822.SIZE 99999999999999999999)\r\n" + DONE, UpstreamError),
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


@pytest.mark.parametrize(
    ("date", "kept"), [(b"17-Jul-1996 02:44:25 -0700", b"17-Jul-1996 02:44:25 -0700"), (b"x" * 60_000, b"")]
)
def test_a_date_is_kept_where_it_can_be_one(date: bytes, kept: bytes) -> None:
    """A hundred thousand long ones would take all memory."""
    row = b'* 1 FETCH (UID 7 INTERNALDATE "%b")\r\n' % date
    selection = Selection(Scripted(SELECTED + row + DONE + b"GW3 OK done\r\n"), "INBOX", 1)
    _, rows = selection.select(Question(((1, 7),), ((8, 9),)))
    assert rows.dates == {7: kept}
