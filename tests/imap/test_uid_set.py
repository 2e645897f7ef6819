"""UIDs as IMAP writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imap.uid_set import SET_MESSAGES, SET_OCTETS, uid_sets

UIDS = st.sets(st.one_of(st.integers(1, 60), st.integers(1, 0xFFFFFFFF)), max_size=200).map(sorted)


def expanded(uid_set: str) -> list[int]:
    uids: list[int] = []
    for part in uid_set.split(","):
        first, _, last = part.partition(":")
        uids += range(int(first), int(last or first) + 1)
    return uids


@given(UIDS)
def test_the_sets_hold_just_the_uids_in_their_order(uids: list[int]) -> None:
    assert [uid for uid_set in uid_sets(uids) for uid in expanded(uid_set)] == uids


@pytest.mark.parametrize("step", [2, 3, 40_000])
def test_no_set_is_longer_than_a_server_takes_and_none_is_empty(step: int) -> None:
    uids = range(1, 0xFFFFFFFF, step)[:100_000]
    sets = list(uid_sets(uids))
    assert all(0 < len(uid_set) <= SET_OCTETS for uid_set in sets)
    assert [uid for uid_set in sets for uid in expanded(uid_set)] == list(uids)
    assert len(sets) < 100_000 * 11 / SET_OCTETS + 2  # and they are well filled


@pytest.mark.parametrize(
    ("uids", "sets"),
    [
        ([], []),
        ([7], ["7"]),
        ([1, 2], ["1:2"]),
        ([1, 2, 3, 5, 7, 8], ["1:3,5,7:8"]),
        ([0xFFFFFFFE, 0xFFFFFFFF], ["4294967294:4294967295"]),
    ],
)
def test_runs_are_ranges(uids: list[int], sets: list[str]) -> None:
    assert list(uid_sets(uids)) == sets


def test_a_whole_mailbox_is_a_short_range() -> None:
    assert list(uid_sets(range(1, SET_MESSAGES + 1))) == [f"1:{SET_MESSAGES}"]


@pytest.mark.parametrize("step", [1, 2])
def test_no_set_has_more_messages_than_one_answer_may_tell_of(step: int) -> None:
    uids = [*range(1, 300_000, step), 400_000, 500_000]
    sets = [expanded(uid_set) for uid_set in uid_sets(uids)]
    assert all(len(found) <= SET_MESSAGES for found in sets)
    assert [uid for found in sets for uid in found] == uids
