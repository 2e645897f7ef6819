"""What is remembered of messages counts for those messages, and for no others that got their UIDs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.maildrop import (
    Correction,
    Intent,
    Mark,
    Memory,
    OnDelete,
    Recognised,
    Sighting,
    Snapshot,
    intend,
    recognise,
)

DAY = 86_400.0
SEEN = Snapshot.of(9, [(5, 50), (6, 60), (7, 70)], uidnext=8)


def promised(*marks: tuple[int, Mark]) -> Memory:
    return Memory(promised=dict(marks))


def test_without_a_memory_nothing_is_known() -> None:
    assert recognise(Memory(), SEEN, 0) == Recognised()


def test_what_is_still_there_is_recognised_by_its_size() -> None:
    memory = Memory(promised={6: Mark(60)}, hidden={7: Mark(70), 6: Mark(60)}, corrections={5: Correction(50, 55)})
    known = recognise(memory, SEEN, 0)
    assert known == Recognised((6,), frozenset({6, 7}), {5: 55})
    assert known.unseen == {6, 7}


def test_another_size_is_another_message() -> None:
    memory = Memory(promised={6: Mark(61)}, hidden={7: Mark(71)}, corrections={5: Correction(51, 55)})
    assert recognise(memory, SEEN, 0) == Recognised(void=frozenset({5, 6, 7}))


def test_where_uidnext_has_shrunk_all_uids_may_be_other_messages() -> None:
    memory = Memory(promised={6: Mark(60)}, hidden={7: Mark(70)}, accepted=Sighting(9, 5, 0, uidnext=9))
    assert recognise(memory, SEEN, 0) == Recognised(void=frozenset({6, 7}))


@pytest.mark.parametrize("before", [Sighting(9, 5, 0, 8), Sighting(9, 5, 0, 0), Sighting(8, 5, 0, 99)])
def test_a_uidnext_that_has_not_or_is_not_told_or_of_another_uidvalidity_says_nothing(before: Sighting) -> None:
    assert recognise(Memory(promised={6: Mark(60)}, accepted=before), SEEN, 0).promised == (6,)


def test_marks_of_an_earlier_version_have_no_size_and_count() -> None:
    memory = Memory(promised={6: Mark()}, corrections={5: Correction(None, 55)})
    assert recognise(memory, SEEN, 0) == Recognised((6,), frozenset(), {5: 55})


def test_what_is_gone_from_among_those_that_are_there_is_forgotten() -> None:
    memory = Memory(hidden={8: Mark(1, 1.0)}, corrections={9: Correction(1, 2)})
    assert recognise(memory, SEEN, 2).gone == {8, 9}


def test_the_oldest_may_be_away_for_a_while_and_come_back() -> None:
    memory = promised((3, Mark(30, 1.0)))
    assert recognise(memory, SEEN, 89 * DAY) == Recognised()
    assert recognise(memory, SEEN, 91 * DAY).gone == {3}
    assert recognise(memory, Snapshot.of(9, []), 0) == Recognised()
    assert recognise(memory, Snapshot.of(9, [(3, 30)]), 0).promised == (3,)


SIZES = st.dictionaries(st.integers(1, 9), st.integers(1, 3))
MARKS = st.dictionaries(st.integers(1, 9), st.builds(Mark, st.none() | st.integers(1, 3)))


@given(MARKS, MARKS, SIZES)
def test_nothing_is_both_known_and_forgotten(
    hid: dict[int, Mark], due: dict[int, Mark], there: dict[int, int]
) -> None:
    known = recognise(Memory(due, hid), Snapshot.of(9, there.items()), 0)
    assert known.unseen <= there.keys()
    assert not known.unseen & (known.gone | known.void)
    for uid in known.promised:
        assert due[uid].octets in {None, there[uid]}


BEFORE = Sighting(9, 3, 1.5, 8)
MARKED = {5: Mark(50, 1.5), 7: Mark(70, 1.5)}


@pytest.mark.parametrize("action", [OnDelete.AUTO, OnDelete.EXPUNGE, OnDelete.TRASH, OnDelete.ARCHIVE])
def test_what_will_go_is_promised_and_leaves_fewer(action: OnDelete) -> None:
    after = Sighting(9, 1, 1.5, 8)
    assert intend((5, 7), action, SEEN, BEFORE) == Intent(9, promised=MARKED, before=BEFORE, after=after)


def test_what_stays_is_hidden_and_leaves_as_many() -> None:
    assert intend((5, 7), OnDelete.KEEP, SEEN, BEFORE) == Intent(9, hidden=MARKED, before=BEFORE, after=BEFORE)


def test_what_is_to_be_flagged_is_both() -> None:
    assert intend((5, 7), OnDelete.FLAG, SEEN, BEFORE) == Intent(9, MARKED, MARKED, BEFORE, BEFORE)
