"""The mailbox as it was at login: frozen, ascending, small."""

import sys
from array import array
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.maildrop import Snapshot, given_anew, unique_id

UINT32 = st.integers(1, 0xFFFFFFFF)
SIZES = st.integers(0, 10**18)


@given(UINT32, UINT32)
def test_a_unique_id_is_sixteen_hexadecimal_digits(uidvalidity: int, uid: int) -> None:
    made = unique_id(uidvalidity, uid)
    assert len(made) == 16
    assert set(made) <= set("0123456789abcdef")


@given(st.tuples(UINT32, UINT32), st.tuples(UINT32, UINT32))
def test_two_messages_never_have_one_unique_id(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (unique_id(*one) == unique_id(*other)) is (one == other)


def test_unique_ids_stay_what_they_are_from_release_to_release() -> None:
    assert unique_id(1500000000, 7) == "59682f0000000007"
    assert unique_id(1, 0xFFFFFFFF) == "00000001ffffffff"


@given(st.lists(st.tuples(UINT32, SIZES), max_size=40), st.booleans())
def test_rows_in_any_order_make_ascending_uids(rows: list[tuple[int, int]], read_only: bool) -> None:
    snapshot = Snapshot.of(9, rows, read_only=read_only)
    assert list(zip(snapshot.uids, snapshot.sizes, strict=True)) == sorted(dict(rows).items())
    assert len(snapshot) == len(dict(rows))
    assert snapshot.octets == sum(dict(rows).values())
    assert snapshot.read_only is read_only


def test_a_uid_that_is_listed_twice_counts_once_with_its_last_size() -> None:
    snapshot = Snapshot.of(1, [(5, 10), (3, 1), (5, 20)])
    assert (snapshot.uids.tolist(), snapshot.sizes.tolist()) == ([3, 5], [1, 20])


def test_a_message_may_be_larger_than_four_gigabytes() -> None:
    assert Snapshot.of(1, [(1, 2**33), (2, 2**63)]).octets == 2**33 + 2**63


@pytest.mark.parametrize("row", [(2**32, 1), (-1, 1), (1, -1), (1, 2**64)])
def test_a_number_outside_its_range_is_an_error_and_not_another_number(row: tuple[int, int]) -> None:
    with pytest.raises(OverflowError):
        Snapshot.of(1, [row])


@given(st.dictionaries(st.integers(1, 30), SIZES), st.dictionaries(st.integers(1, 30), SIZES))
def test_messages_are_found_left_out_and_corrected_by_uid(there: dict[int, int], asked: dict[int, int]) -> None:
    snapshot = Snapshot.of(9, there.items(), read_only=True, uidnext=31)
    assert snapshot.sizes_of(asked) == {uid: size for uid, size in there.items() if uid in asked}
    left = {uid: size for uid, size in there.items() if uid not in asked}
    assert snapshot.without(asked.keys()) == Snapshot.of(9, left.items(), read_only=True, uidnext=31)
    right = {uid: asked.get(uid, size) for uid, size in there.items()}
    assert snapshot.corrected(asked) == Snapshot.of(9, right.items(), read_only=True, uidnext=31)


@pytest.mark.parametrize(("before", "now", "anew"), [(8, 7, True), (8, 8, False), (8, 0, False), (0, 8, False)])
def test_uids_are_given_anew_where_uidnext_has_shrunk(before: int, now: int, anew: bool) -> None:
    assert given_anew(before, now) is anew


def test_it_is_frozen() -> None:
    snapshot = Snapshot.of(1, [])
    with pytest.raises(FrozenInstanceError):
        snapshot.uids = array("I", [1])  # type: ignore[misc]


def test_a_hundred_thousand_messages_take_less_than_two_megabytes() -> None:
    snapshot = Snapshot.of(1, ((uid, 4000 + uid) for uid in range(1, 100_001)))
    assert len(snapshot) == 100_000
    assert sys.getsizeof(snapshot.uids) + sys.getsizeof(snapshot.sizes) < 2_000_000


# Leaving out, and correcting


@given(
    st.dictionaries(st.integers(1, 30), SIZES, max_size=20),
    st.sets(st.integers(0, 40)),
    st.dictionaries(st.integers(0, 40), SIZES),
)
def test_what_is_left_out_and_corrected_is_that_and_nothing_else(
    sizes: dict[int, int], hidden: set[int], better: dict[int, int]
) -> None:
    snapshot = replace(Snapshot.of(9, sizes.items(), read_only=True), uidnext=77, highestmodseq=5)
    shown = snapshot.without(hidden).corrected(better)
    expected = {uid: better.get(uid, sizes[uid]) for uid in sorted(sizes) if uid not in hidden}
    assert list(zip(shown.uids, shown.sizes, strict=True)) == list(expected.items())
    assert shown.octets == sum(expected.values())
    assert (shown.uidvalidity, shown.read_only, shown.uidnext, shown.highestmodseq) == (9, True, 77, 5)
    assert list(zip(snapshot.uids, snapshot.sizes, strict=True)) == sorted(sizes.items())


def test_where_nothing_changes_nothing_is_copied() -> None:
    snapshot = Snapshot.of(9, [(1, 10), (3, 30)])
    assert snapshot.without(frozenset({2, 4})).corrected({2: 5}) is snapshot
