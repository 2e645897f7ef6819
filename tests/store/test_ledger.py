"""What every state remembers of a maildrop: durable, apart from other maildrops, and for one UIDVALIDITY."""

import subprocess
import sys
import threading

import pytest

from gateway.errors import StateError
from gateway.maildrop import UNSTABLE, Correction, Intent, Mark, Memory, Revision, Sighting
from gateway.store import State
from gateway.store.ledger import StoredLedger
from tests.store.conftest import OpenState, Place

PROMISES = """
import os, sys
from pathlib import Path
from gateway.maildrop import Intent, Mark
from gateway.store import open_state
ledger = open_state(Path(sys.argv[1]), sys.argv[2] or None).ledger()
ledger.intend("ann", Intent(9, promised={int(sys.argv[3]): Mark(10, 1.0)}))
os._exit(9)
"""
DAY = 86_400.0
MARK = Mark(10, 1.5)
NOTHING = Revision()


def marks(*uids: int) -> dict[int, Mark]:
    return dict.fromkeys(uids, MARK)


@pytest.fixture
def ledger(state: State) -> StoredLedger:
    made = state.ledger()
    assert isinstance(made, StoredLedger)
    return made


def test_of_a_maildrop_that_was_never_seen_nothing_is_known(ledger: StoredLedger) -> None:
    assert ledger.recall("ann", 9) == Memory()


def test_all_that_was_told_is_recalled(ledger: StoredLedger) -> None:
    seen, doubted, after = Sighting(9, 100, 1.5, 7), Sighting(9, 0, 2.5), Sighting(9, 97, 2.0, 7)
    corrections = {4: Correction(2**39, 2**40), 5: Correction(None, 7)}
    ledger.accept("ann", 9, seen, NOTHING)
    ledger.intend("ann", Intent(9, marks(1, 2, 0xFFFFFFFF), marks(3), after))
    ledger.doubt("ann", doubted)
    ledger.note_copied("ann", 9, [2, 77])
    ledger.correct("ann", 9, corrections)
    assert ledger.recall("ann", 9) == Memory(
        marks(1, 2, 0xFFFFFFFF), marks(3), corrections, frozenset({2}), after, doubted
    )


def test_of_what_is_said_twice_the_first_mark_and_the_last_size_count(ledger: StoredLedger) -> None:
    for octets in (10, 20):
        again = {1: Mark(octets, octets)}
        ledger.intend("ann", Intent(9, again, again))
        ledger.correct("ann", 9, {1: Correction(5, octets)})
    assert ledger.recall("ann", 9) == Memory({1: Mark(10, 10)}, {1: Mark(10, 10)}, {1: Correction(5, 20)})


def test_maildrops_and_uidvalidities_are_apart(ledger: StoredLedger) -> None:
    ledger.intend("ann", Intent(9, marks(1)))
    ledger.accept("ann", 9, Sighting(9, 1, 0), NOTHING)
    assert ledger.recall("bob", 9) == Memory()
    assert ledger.recall("ann", 8).promised == {}


def test_a_promise_that_is_kept_leaves_what_is_hidden(ledger: StoredLedger) -> None:
    ledger.intend("ann", Intent(9, marks(1, 2), marks(1)))
    ledger.fulfil("ann", 9, [1, 77])
    assert ledger.recall("ann", 9) == Memory(marks(2), marks(1))


def test_an_intent_that_is_taken_back_was_never_there(ledger: StoredLedger) -> None:
    """But how the mailbox would be stays noted: some of it may be done, and one that is larger is not doubted."""
    after = Sighting(9, 98, 2.0)
    ledger.intend("ann", Intent(9, marks(7)))
    ledger.accept("ann", 9, Sighting(9, 100, 1.5), NOTHING)
    intent = Intent(9, marks(1, 2), marks(1, 2), after)
    ledger.intend("ann", intent)
    ledger.take_back("ann", intent)
    assert ledger.recall("ann", 9) == Memory(marks(7), accepted=after)


def test_what_another_session_promised_before_is_not_taken_back(ledger: StoredLedger) -> None:
    theirs, ours = {1: Mark(10, 1.0)}, {1: Mark(10, 2.0), 2: Mark(20, 2.0)}
    ledger.intend("ann", Intent(9, theirs, theirs))
    ledger.intend("ann", Intent(9, ours, ours))
    ledger.take_back("ann", Intent(9, ours, ours))
    assert ledger.recall("ann", 9) == Memory(theirs, theirs)


def test_a_revision_changes_what_it_names_and_nothing_else(ledger: StoredLedger) -> None:
    ledger.intend("ann", Intent(9, marks(1, 2, 3), marks(1, 2, 3)))
    ledger.note_copied("ann", 9, [1, 2])
    ledger.correct("ann", 9, {1: Correction(5, 6), 2: Correction(5, 6)})
    missed = Mark(10, 1.5, 7.5)
    revision = Revision({1: missed}, {2: missed, 4: missed}, frozenset({3}), frozenset({1}), frozenset({1}))
    ledger.accept("ann", 9, None, revision)
    known = Memory(
        promised={1: missed, 2: MARK},
        hidden={2: missed, 3: MARK, 4: missed},
        corrections={2: Correction(5, 6)},
        copied=frozenset({1, 2}),
    )
    assert ledger.recall("ann", 9) == known


def test_an_accepted_sighting_ends_the_doubt(ledger: StoredLedger) -> None:
    ledger.doubt("ann", Sighting(9, 0, 1))
    ledger.accept("ann", 9, Sighting(9, 5, 2), NOTHING)
    assert ledger.recall("ann", 9) == Memory(accepted=Sighting(9, 5, 2))


def test_a_doubted_one_leaves_the_accepted_one(ledger: StoredLedger) -> None:
    ledger.accept("ann", 9, Sighting(9, 5, 1), NOTHING)
    ledger.intend("ann", Intent(9, marks(1)))
    ledger.doubt("ann", Sighting(8, 0, 2))
    assert ledger.recall("ann", 9) == Memory(marks(1), accepted=Sighting(9, 5, 1), doubted=Sighting(8, 0, 2))


def test_what_was_promised_under_another_uidvalidity_is_kept_for_a_month(ledger: StoredLedger) -> None:
    """The right mailbox may come back, after another was mounted in its place."""
    for drop in ("ann", "bob"):
        ledger.intend(drop, Intent(8, marks(1), marks(2)))
    ledger.accept("ann", 9, Sighting(9, 5, 20 * DAY), NOTHING)
    assert ledger.recall("ann", 8).promised == marks(1)
    ledger.accept("ann", 9, Sighting(9, 6, 40 * DAY), NOTHING)
    assert ledger.recall("ann", 8) == Memory(accepted=Sighting(9, 6, 40 * DAY))
    assert ledger.recall("bob", 8).promised == marks(1)


def test_the_month_begins_when_the_other_one_was_last_in_use(ledger: StoredLedger) -> None:
    ledger.accept("ann", 8, Sighting(8, 5, 1), NOTHING)
    ledger.intend("ann", Intent(8, marks(1), marks(2)))
    for day, kept in ((100, True), (129, True), (131, False)):
        ledger.accept("ann", 9, Sighting(9, day, day * DAY), NOTHING)
        known = ledger.recall("ann", 8)
        assert (known.promised.keys() == {1}, known.hidden.keys() == {2}) == (kept, kept)


def test_where_uidvalidity_says_nothing_the_present_one_is_what_counts(ledger: StoredLedger) -> None:
    """However old a mark is, and whatever the sighting stands for."""
    ledger.intend("ann", Intent(9, marks(1), marks(2)))
    ledger.correct("ann", 9, {3: Correction(5, 6)})
    ledger.accept("ann", 9, Sighting(UNSTABLE, 5, 100 * DAY), NOTHING)
    ledger.intend("ann", Intent(9, after=Sighting(UNSTABLE, 6, 101 * DAY)))
    assert ledger.recall("ann", 9) == Memory(
        marks(1), marks(2), {3: Correction(5, 6)}, accepted=Sighting(UNSTABLE, 6, 101 * DAY)
    )


def test_it_is_all_there_after_a_restart(start_state: OpenState) -> None:
    first = start_state()
    first.ledger().intend("ann", Intent(9, marks(1)))
    first.close()
    assert start_state().ledger().recall("ann", 9).promised == marks(1)


def test_a_process_that_dies_right_after_promising_has_promised(place: Place, ledger: StoredLedger) -> None:
    command = [sys.executable, "-c", PROMISES, *place.arguments]
    processes = [subprocess.Popen([*command, str(uid)]) for uid in range(1, 7)]
    assert {process.wait() for process in processes} == {9}
    assert ledger.recall("ann", 9).promised.keys() == set(range(1, 7))


def test_a_maildrops_key_may_hold_any_character(ledger: StoredLedger) -> None:
    """NUL is between its parts, and the others are its user's to choose."""
    keys = [
        "h\x00993\x00ann\x00INBOX",
        "h\x00993\x00ann",
        "h\x01z993\x01zann",
        "a?%s\\'",
        "\x01o\x7f\n",
        "\U0001f4ec",
    ]
    for uid, key in enumerate(keys, 1):
        ledger.intend(key, Intent(9, marks(uid)))
    assert [ledger.recall(key, 9).promised for key in keys] == [marks(uid) for uid in range(1, len(keys) + 1)]


def test_the_largest_numbers_of_imap_are_kept(ledger: StoredLedger) -> None:
    largest = 0xFFFFFFFF
    ledger.accept("ann", largest, Sighting(largest, largest, 1.5, largest), NOTHING)
    ledger.intend("ann", Intent(largest, {largest: Mark(2**62, 2.0**40)}))
    assert ledger.recall("ann", largest) == Memory(
        {largest: Mark(2**62, 2.0**40)}, accepted=Sighting(largest, largest, 1.5, largest)
    )


def test_many_threads_lose_nothing(ledger: StoredLedger) -> None:
    def promise(thread: int) -> None:
        for number in range(10):
            ledger.intend("ann", Intent(9, marks(100 * thread + number)))
            ledger.recall("ann", 9)

    threads = [threading.Thread(target=promise, args=(thread,)) for thread in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.recall("ann", 9).promised) == 80


def test_nobody_who_reads_waits_for_one_who_writes(ledger: StoredLedger) -> None:
    """A QUIT of 300,000 messages takes seconds to write, and other users log in meanwhile."""
    ledger.intend("ann", Intent(9, marks(1)))
    with ledger._database.writing() as database:
        database.execute("DELETE FROM promised")
        assert ledger.recall("ann", 9) == Memory(marks(1))
    assert ledger.recall("ann", 9) == Memory()


def test_after_close_every_use_is_a_state_error(state: State, ledger: StoredLedger) -> None:
    state.close()
    state.close()
    with pytest.raises(StateError, match="closed"):
        ledger.recall("ann", 9)


def test_a_change_that_fails_half_way_changes_nothing_and_the_next_one_works(ledger: StoredLedger) -> None:
    with pytest.raises(StateError, match="out of range"):
        ledger.intend("ann", Intent(9, marks(1, 2**70)))
    assert ledger.recall("ann", 9) == Memory()
    ledger.intend("ann", Intent(9, marks(3)))
    assert ledger.recall("ann", 9).promised == marks(3)
