"""What is remembered of a maildrop: durable, apart from other maildrops, and for one UIDVALIDITY."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import StateError
from gateway.maildrop import UNSTABLE, Correction, Intent, Mark, Memory, Revision, Sighting
from gateway.store.ledger import SqliteLedger

PROMISES = """
import os, sys
from pathlib import Path
from gateway.maildrop import Intent, Mark
from gateway.store.ledger import SqliteLedger
SqliteLedger(Path(sys.argv[1])).intend("ann", Intent(9, promised={int(sys.argv[2]): Mark(10, 1.0)}))
os._exit(9)
"""
DAY = 86_400.0
MARK = Mark(10, 1.5)
KEY = "maildrop TEXT, uidvalidity INTEGER, uid INTEGER"
FIRST_TABLES = [
    f"CREATE TABLE promised ({KEY}, PRIMARY KEY (maildrop, uidvalidity, uid)) WITHOUT ROWID",
    f"CREATE TABLE hidden ({KEY}, PRIMARY KEY (maildrop, uidvalidity, uid)) WITHOUT ROWID",
    f"CREATE TABLE size ({KEY}, octets INTEGER, PRIMARY KEY (maildrop, uidvalidity, uid)) WITHOUT ROWID",
    "CREATE TABLE sighting (maildrop TEXT, accepted INTEGER, uidvalidity INTEGER, messages INTEGER, since REAL, \
    PRIMARY KEY (maildrop, accepted)) WITHOUT ROWID",
    "INSERT INTO promised VALUES ('ann', 9, 1)",
    "INSERT INTO hidden VALUES ('ann', 9, 2)",
    "INSERT INTO size VALUES ('ann', 9, 3, 30)",
    "INSERT INTO sighting VALUES ('ann', 1, 9, 4, 1.5)",
    "PRAGMA user_version=1",
]


NOTHING = Revision()


def marks(*uids: int) -> dict[int, Mark]:
    return dict.fromkeys(uids, MARK)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Iterator[SqliteLedger]:
    made = SqliteLedger(file)
    yield made
    made.close()


def test_of_a_maildrop_that_was_never_seen_nothing_is_known(ledger: SqliteLedger) -> None:
    assert ledger.recall("ann", 9) == Memory()


def test_all_that_was_told_is_recalled(ledger: SqliteLedger) -> None:
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


def test_of_what_is_said_twice_the_first_mark_and_the_last_size_count(ledger: SqliteLedger) -> None:
    for octets in (10, 20):
        again = {1: Mark(octets, octets)}
        ledger.intend("ann", Intent(9, again, again))
        ledger.correct("ann", 9, {1: Correction(5, octets)})
    assert ledger.recall("ann", 9) == Memory({1: Mark(10, 10)}, {1: Mark(10, 10)}, {1: Correction(5, 20)})


def test_maildrops_and_uidvalidities_are_apart(ledger: SqliteLedger) -> None:
    ledger.intend("ann", Intent(9, marks(1)))
    ledger.accept("ann", 9, Sighting(9, 1, 0), NOTHING)
    assert ledger.recall("bob", 9) == Memory()
    assert ledger.recall("ann", 8).promised == {}


def test_a_promise_that_is_kept_leaves_what_is_hidden(ledger: SqliteLedger) -> None:
    ledger.intend("ann", Intent(9, marks(1, 2), marks(1)))
    ledger.fulfil("ann", 9, [1, 77])
    assert ledger.recall("ann", 9) == Memory(marks(2), marks(1))


def test_an_intent_that_is_taken_back_was_never_there(ledger: SqliteLedger) -> None:
    """But how the mailbox would be stays noted: some of it may be done, and one that is larger is not doubted."""
    after = Sighting(9, 98, 2.0)
    ledger.intend("ann", Intent(9, marks(7)))
    ledger.accept("ann", 9, Sighting(9, 100, 1.5), NOTHING)
    intent = Intent(9, marks(1, 2), marks(1, 2), after)
    ledger.intend("ann", intent)
    ledger.take_back("ann", intent)
    assert ledger.recall("ann", 9) == Memory(marks(7), accepted=after)


def test_what_another_session_promised_before_is_not_taken_back(ledger: SqliteLedger) -> None:
    theirs, ours = {1: Mark(10, 1.0)}, {1: Mark(10, 2.0), 2: Mark(20, 2.0)}
    ledger.intend("ann", Intent(9, theirs, theirs))
    ledger.intend("ann", Intent(9, ours, ours))
    ledger.take_back("ann", Intent(9, ours, ours))
    assert ledger.recall("ann", 9) == Memory(theirs, theirs)


def test_a_revision_changes_what_it_names_and_nothing_else(ledger: SqliteLedger) -> None:
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


def test_an_accepted_sighting_ends_the_doubt(ledger: SqliteLedger) -> None:
    ledger.doubt("ann", Sighting(9, 0, 1))
    ledger.accept("ann", 9, Sighting(9, 5, 2), NOTHING)
    assert ledger.recall("ann", 9) == Memory(accepted=Sighting(9, 5, 2))


def test_a_doubted_one_leaves_the_accepted_one(ledger: SqliteLedger) -> None:
    ledger.accept("ann", 9, Sighting(9, 5, 1), NOTHING)
    ledger.intend("ann", Intent(9, marks(1)))
    ledger.doubt("ann", Sighting(8, 0, 2))
    assert ledger.recall("ann", 9) == Memory(marks(1), accepted=Sighting(9, 5, 1), doubted=Sighting(8, 0, 2))


def test_what_was_promised_under_another_uidvalidity_is_kept_for_a_month(ledger: SqliteLedger) -> None:
    """The right mailbox may come back, after another was mounted in its place."""
    for drop in ("ann", "bob"):
        ledger.intend(drop, Intent(8, marks(1), marks(2)))
    ledger.accept("ann", 9, Sighting(9, 5, 20 * DAY), NOTHING)
    assert ledger.recall("ann", 8).promised == marks(1)
    ledger.accept("ann", 9, Sighting(9, 6, 40 * DAY), NOTHING)
    assert ledger.recall("ann", 8) == Memory(accepted=Sighting(9, 6, 40 * DAY))
    assert ledger.recall("bob", 8).promised == marks(1)


def test_the_month_begins_when_the_other_one_was_last_in_use(ledger: SqliteLedger) -> None:
    ledger.accept("ann", 8, Sighting(8, 5, 1), NOTHING)
    ledger.intend("ann", Intent(8, marks(1), marks(2)))
    for day, kept in ((100, True), (129, True), (131, False)):
        ledger.accept("ann", 9, Sighting(9, day, day * DAY), NOTHING)
        known = ledger.recall("ann", 8)
        assert (known.promised.keys() == {1}, known.hidden.keys() == {2}) == (kept, kept)


def test_where_uidvalidity_says_nothing_the_present_one_is_what_counts(ledger: SqliteLedger) -> None:
    """However old a mark is, and whatever the sighting stands for."""
    ledger.intend("ann", Intent(9, marks(1), marks(2)))
    ledger.correct("ann", 9, {3: Correction(5, 6)})
    ledger.accept("ann", 9, Sighting(UNSTABLE, 5, 100 * DAY), NOTHING)
    ledger.intend("ann", Intent(9, after=Sighting(UNSTABLE, 6, 101 * DAY)))
    assert ledger.recall("ann", 9) == Memory(
        marks(1), marks(2), {3: Correction(5, 6)}, accepted=Sighting(UNSTABLE, 6, 101 * DAY)
    )


def test_it_is_all_there_after_a_restart(ledger: SqliteLedger, file: Path) -> None:
    ledger.intend("ann", Intent(9, marks(1)))
    ledger.close()
    again = SqliteLedger(file)
    assert again.recall("ann", 9).promised == marks(1)
    again.close()


def test_a_process_that_dies_right_after_promising_has_promised(ledger: SqliteLedger, file: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", PROMISES, str(file), str(uid)]) for uid in range(1, 7)]
    assert {process.wait() for process in processes} == {9}
    assert ledger.recall("ann", 9).promised.keys() == set(range(1, 7))


def test_many_threads_lose_nothing(ledger: SqliteLedger) -> None:
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


def test_the_file_is_closed_to_others(ledger: SqliteLedger, file: Path) -> None:
    ledger.intend("ann", Intent(9, marks(1)))
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


# What goes wrong


def test_a_file_that_is_no_database_is_a_state_error_that_says_what_to_do(file: Path) -> None:
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(StateError, match=r"ledger\.db is damaged: file is not a database\. Move it away with"):
        SqliteLedger(file)


def test_a_file_that_is_damaged_later_is_told_so_too(ledger: SqliteLedger, file: Path) -> None:
    ledger.intend("ann", Intent(9, marks(*range(1, 2000))))
    ledger.close()
    octets = bytearray(file.read_bytes())
    octets[4096:] = b"\xff" * (len(octets) - 4096)
    file.write_bytes(octets)
    damaged = SqliteLedger(file)
    with pytest.raises(StateError, match="is damaged: database disk image is malformed"):
        damaged.recall("ann", 9)
    damaged.close()


def test_nobody_who_reads_waits_for_one_who_writes(ledger: SqliteLedger) -> None:
    """A QUIT of 300,000 messages takes seconds to write, and other users log in meanwhile."""
    ledger.intend("ann", Intent(9, marks(1)))
    with ledger._database.writing() as database:
        database.execute("DELETE FROM promised")
        assert ledger.recall("ann", 9) == Memory(marks(1))
    assert ledger.recall("ann", 9) == Memory()


def test_those_who_read_at_once_do_not_wait_for_each_other_and_leave_few_files_open(ledger: SqliteLedger) -> None:
    for _ in range(3):
        with ledger._database.reading() as one, ledger._database.reading() as other:
            assert one is not other
    assert len(ledger._database._readers) == 2


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_taken_away_while_we_run_is_begun_anew_and_told(file: Path, replaced: bool) -> None:
    """SQLite would go on with the old one, which no later process finds."""
    told: list[str] = []
    ledger = SqliteLedger(file, lambda: told.append("replaced"))
    ledger.intend("ann", Intent(9, marks(1)))
    for found in file.parent.glob("ledger.db*"):
        found.unlink()
    if replaced:
        SqliteLedger(file).close()
    assert ledger.recall("ann", 9) == Memory()
    ledger.intend("ann", Intent(9, marks(2)))
    other = SqliteLedger(file)
    assert other.recall("ann", 9).promised == marks(2)
    assert told == ["replaced"]
    other.close()
    ledger.close()


def test_a_folder_that_is_taken_away_is_made_again_and_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    told: list[str] = []
    ledger = SqliteLedger(folder / "ledger.db", lambda: told.append("replaced"))
    folder.rename(tmp_path / "away")
    ledger.intend("ann", Intent(9, marks(1)))
    assert ledger.recall("ann", 9).promised == marks(1)
    assert told == ["replaced"]
    assert folder.stat().st_mode & 0o777 == 0o700
    ledger.close()


def test_a_file_of_the_first_gateway_still_counts(file: Path) -> None:
    with sqlite3.connect(file) as database:
        for statement in FIRST_TABLES:
            database.execute(statement)
    database.close()
    ledger = SqliteLedger(file)
    known = ledger.recall("ann", 9)
    assert known == Memory({1: Mark()}, {2: Mark()}, {3: Correction(None, 30)}, accepted=Sighting(9, 4, 1.5))
    ledger.close()


def test_a_folder_in_its_place_is_a_state_error(file: Path) -> None:
    file.mkdir()
    with pytest.raises(StateError, match="unable to open"):
        SqliteLedger(file)


def test_a_file_in_the_place_of_the_folder_is_a_state_error(file: Path) -> None:
    file.touch()
    with pytest.raises(StateError, match="File exists"):
        SqliteLedger(file / "ledger.db")


def test_a_file_of_a_newer_gateway_is_left_alone(ledger: SqliteLedger, file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(StateError, match="newer"):
        SqliteLedger(file)


def test_after_close_every_use_is_a_state_error(ledger: SqliteLedger) -> None:
    ledger.close()
    ledger.close()
    with pytest.raises(StateError):
        ledger.recall("ann", 9)


def test_a_change_that_fails_half_way_changes_nothing_and_the_next_one_works(ledger: SqliteLedger) -> None:
    with pytest.raises(StateError, match="out of range"):
        ledger.intend("ann", Intent(9, marks(1, 2**70)))
    assert ledger.recall("ann", 9) == Memory()
    ledger.intend("ann", Intent(9, marks(3)))
    assert ledger.recall("ann", 9).promised == marks(3)
