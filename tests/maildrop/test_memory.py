"""What is remembered of messages counts for those messages, and for no others that got their UIDs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.maildrop import (
    Caution,
    Correction,
    Intent,
    Mark,
    Memory,
    OnDelete,
    Recognised,
    Revision,
    Sighting,
    Snapshot,
    intend,
    judge,
    recognise,
    sight,
)
from gateway.maildrop.memory import Marks

DAY = 86_400.0
SEEN = Snapshot.of(9, [(5, 50), (6, 60), (7, 70)], uidnext=8)


def recognised(
    memory: Memory, seen: Snapshot = SEEN, now: float = 0, on_delete: OnDelete = OnDelete.EXPUNGE
) -> Recognised:
    return recognise(memory, seen, now, on_delete)


def revised(memory: Memory, revision: Revision) -> Memory:
    """What the ledger makes of it."""

    def marks(old: Marks, new: Marks, dropped: frozenset[int]) -> Marks:
        return {uid: mark for uid, mark in {**old, **new}.items() if uid not in dropped}

    return replace(
        memory,
        promised=marks(memory.promised, revision.promised, revision.not_promised),
        hidden=marks(memory.hidden, revision.hidden, revision.not_hidden),
        corrections={uid: row for uid, row in memory.corrections.items() if uid not in revision.not_corrected},
    )


def test_without_a_memory_nothing_is_known() -> None:
    assert recognised(Memory()) == Recognised()


def test_what_is_still_there_is_recognised_by_its_size() -> None:
    memory = Memory(promised={6: Mark(60)}, hidden={7: Mark(70), 6: Mark(60)}, corrections={5: Correction(50, 55)})
    known = recognised(memory)
    assert known == Recognised((6,), frozenset({6, 7}), {5: 55})
    assert known.unseen == {6, 7}
    assert not known.revision


def test_another_size_is_another_message() -> None:
    memory = Memory(promised={6: Mark(61)}, hidden={7: Mark(71)}, corrections={5: Correction(51, 55)})
    known = recognised(memory)
    assert not known.unseen
    assert not known.sizes
    assert known.void == {6, 7}
    assert revised(memory, known.revision) == Memory()


def test_where_uidnext_has_shrunk_all_uids_may_be_other_messages() -> None:
    before = Sighting(9, 5, 0, uidnext=9)
    memory = Memory({6: Mark(60)}, {7: Mark(70), 99: Mark(1)}, {5: Correction(50, 55)}, accepted=before)
    known = recognised(memory)
    assert not known.unseen
    assert not known.sizes
    assert known.void == {6, 7, 99}
    assert revised(memory, known.revision) == Memory(accepted=before)


@pytest.mark.parametrize("before", [Sighting(9, 5, 0, 8), Sighting(9, 5, 0, 0), Sighting(8, 5, 0, 99)])
def test_a_uidnext_that_has_not_or_is_not_told_or_of_another_uidvalidity_says_nothing(before: Sighting) -> None:
    assert recognised(Memory(promised={6: Mark(60)}, accepted=before)).promised == (6,)


def test_marks_of_an_earlier_version_have_no_size_and_count() -> None:
    memory = Memory(promised={6: Mark()}, corrections={5: Correction(None, 55)})
    assert recognised(memory) == Recognised((6,), frozenset(), {5: 55})


# What is not there


@pytest.mark.parametrize(("table", "days"), [("promised", 1), ("hidden", 90)])
def test_a_mark_outlives_its_message_for_a_while_from_when_it_was_first_missed(table: str, days: int) -> None:
    """Wherever among the others it was: a mailbox may show half of its messages, or none, for a moment."""
    marks = {3: Mark(30), 6: Mark(60), 99: Mark(1)}
    memory = Memory(**{table: marks})  # type: ignore[arg-type]
    for now in (10 * DAY, (10 + days) * DAY - 1):
        memory = revised(memory, recognised(memory, now=now).revision)
        missed = {3: Mark(30, 0, 10 * DAY), 6: Mark(60), 99: Mark(1, 0, 10 * DAY)}
        assert memory == Memory(**{table: missed})  # type: ignore[arg-type]
    memory = revised(memory, recognised(memory, now=(10 + days) * DAY).revision)
    assert memory == Memory(**{table: {6: Mark(60)}})  # type: ignore[arg-type]


def test_one_that_comes_back_was_never_away() -> None:
    missed = Memory(hidden={3: Mark(30, 1.0, 2.0)})
    known = recognised(missed, Snapshot.of(9, [(3, 30)]), 80 * DAY)
    assert known.hidden == {3}
    assert revised(missed, known.revision) == Memory(hidden={3: Mark(30, 1.0)})


def test_a_clock_that_was_set_back_begins_the_time_anew() -> None:
    memory = Memory(promised={3: Mark(30, 0, 50 * DAY)})
    assert recognised(memory, now=2.0).revision == Revision(promised={3: Mark(30, 0, 2.0)})


def test_the_size_of_what_is_not_there_is_forgotten_at_once() -> None:
    memory = Memory(corrections={9: Correction(1, 2)})
    assert recognised(memory).revision == Revision(not_corrected=frozenset({9}))


# A policy that says otherwise


def test_what_was_promised_to_go_is_hidden_by_a_policy_that_keeps_and_not_touched() -> None:
    memory = Memory(promised={6: Mark(60), 99: Mark(1, 0, 5.0)}, hidden={7: Mark(70)})
    known = recognised(memory, now=6.0, on_delete=OnDelete.KEEP)
    assert not known.promised
    assert known.hidden == {6, 7}
    hidden = {6: Mark(60), 7: Mark(70), 99: Mark(1, 0, 5.0)}
    assert revised(memory, known.revision) == Memory(hidden=hidden)


def test_by_one_that_flags_it_is_both_hidden_and_still_to_be_done() -> None:
    memory = Memory(promised={6: Mark(60)})
    known = recognised(memory, on_delete=OnDelete.FLAG)
    assert known.promised == (6,)
    assert known.hidden == {6}
    assert revised(memory, known.revision) == Memory(promised={6: Mark(60)}, hidden={6: Mark(60)})


def test_a_uid_that_is_another_message_now_is_hidden_by_none() -> None:
    known = recognised(Memory(promised={6: Mark(61)}), on_delete=OnDelete.KEEP)
    assert known.unseen == frozenset()
    assert known.revision == Revision(not_promised=frozenset({6}))


# How the mailbox looks


def test_what_is_promised_counts_as_gone_unless_the_policy_leaves_it_there() -> None:
    memory = Memory(promised={5: Mark(50), 6: Mark(60)}, hidden={6: Mark(60), 7: Mark(70)})
    assert sight(memory, SEEN, recognised(memory), 1.5) == Sighting(9, 2, 1.5, 8)


def test_a_uidnext_that_is_told_no_more_is_still_known() -> None:
    silent = replace(SEEN, uidnext=0)
    for accepted, uidnext in ((Sighting(9, 3, 0, 7), 7), (Sighting(8, 3, 0, 7), 0), (None, 0)):
        memory = Memory(accepted=accepted)
        assert sight(memory, silent, Recognised(), 1.5) == Sighting(9, 3, 1.5, uidnext)


SIZES = st.dictionaries(st.integers(1, 9), st.integers(1, 3))
TIMES = st.sampled_from([0.0, 1.0, 2 * DAY, 100 * DAY])
MARKS = st.dictionaries(st.integers(1, 9), st.builds(Mark, st.none() | st.integers(1, 3), TIMES, TIMES))


@given(MARKS, MARKS, SIZES, st.sampled_from([1.0, 3 * DAY, 99 * DAY]), st.sampled_from(OnDelete))
def test_what_is_not_seen_is_there_and_remembered(
    hid: dict[int, Mark], due: dict[int, Mark], there: dict[int, int], now: float, on_delete: OnDelete
) -> None:
    memory = Memory(due, hid)
    known = recognised(memory, Snapshot.of(9, there.items()), now, on_delete)
    after = revised(memory, known.revision)
    assert known.unseen <= there.keys()
    assert known.unseen == (after.promised.keys() | after.hidden.keys()) & there.keys()
    assert not known.void & (after.promised.keys() | after.hidden.keys())
    for uid in known.promised:
        assert due[uid].octets in {None, there[uid]}
    if on_delete is not OnDelete.FLAG:  # by which an old hidden mark that goes is made anew of a young promise
        assert not recognised(after, Snapshot.of(9, there.items()), now, on_delete).revision


ALL = {uid: 10 * uid for uid in range(1, 61)}
VIEWS = st.sets(st.integers(1, 60)) | st.integers(1, 61).map(lambda first: set(range(first, 61)))


@given(
    st.sets(st.integers(1, 60)),
    st.sets(st.integers(1, 60)),
    st.lists(st.tuples(VIEWS, st.floats(1, DAY / 10), st.sampled_from(OnDelete)), max_size=9),
    st.booleans(),
)
def test_whatever_a_mailbox_shows_in_a_day_and_whatever_the_policy_nothing_deleted_is_seen_again(
    due: set[int], hid: set[int], history: list[tuple[set[int], float, OnDelete]], tells_uidnext: bool
) -> None:
    memory = Memory({uid: Mark(ALL[uid]) for uid in due}, {uid: Mark(ALL[uid]) for uid in hid})
    now = 1.0
    for view, seconds, on_delete in history:
        now += seconds
        seen = Snapshot.of(9, ((uid, ALL[uid]) for uid in view), uidnext=61 if tells_uidnext else 0)
        known = recognised(memory, seen, now, on_delete)
        verdict = judge(memory.accepted, memory.doubted, sight(memory, seen, known, now), Caution())
        assert known.unseen == (due | hid) & view
        if verdict.reason:
            memory = replace(memory, doubted=verdict.noted or memory.doubted)
        else:
            memory = replace(
                revised(memory, known.revision), accepted=verdict.noted or memory.accepted, doubted=None
            )


BEFORE = Sighting(9, 3, 1.5, 8)
MARKED = {5: Mark(50, 1.5), 7: Mark(70, 1.5)}


@pytest.mark.parametrize("action", [OnDelete.AUTO, OnDelete.EXPUNGE, OnDelete.TRASH, OnDelete.ARCHIVE])
def test_what_will_go_is_promised_and_leaves_fewer(action: OnDelete) -> None:
    after = Sighting(9, 1, 1.5, 8)
    assert intend((5, 7), action, SEEN, BEFORE) == Intent(9, promised=MARKED, after=after)


def test_what_stays_is_hidden_and_leaves_as_many() -> None:
    assert intend((5, 7), OnDelete.KEEP, SEEN, BEFORE) == Intent(9, hidden=MARKED, after=BEFORE)


def test_what_is_to_be_flagged_is_both() -> None:
    assert intend((5, 7), OnDelete.FLAG, SEEN, BEFORE) == Intent(9, MARKED, MARKED, BEFORE)
