"""What is remembered of a maildrop: durable, apart from other maildrops, and for one UIDVALIDITY."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import StateError
from gateway.maildrop import Memory, Sighting
from gateway.store.ledger import SqliteLedger

PROMISES = """
import os, sys
from pathlib import Path
from gateway.store.ledger import SqliteLedger
SqliteLedger(Path(sys.argv[1])).promise("ann", 9, [int(sys.argv[2])])
os._exit(9)
"""


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
    seen, doubted = Sighting(9, 100, 1.5), Sighting(9, 0, 2.5)
    ledger.note("ann", seen, accepted=True)
    ledger.note("ann", doubted, accepted=False)
    ledger.promise("ann", 9, [1, 2, 0xFFFFFFFF])
    ledger.hide("ann", 9, [3])
    ledger.learn("ann", 9, {4: 2**40})
    known = frozenset({1, 2, 0xFFFFFFFF})
    assert ledger.recall("ann", 9) == Memory(known, frozenset({3}), {4: 2**40}, seen, doubted)


def test_what_is_said_twice_counts_once_and_the_last_size_counts(ledger: SqliteLedger) -> None:
    for octets in (10, 20):
        ledger.promise("ann", 9, [1])
        ledger.hide("ann", 9, [1])
        ledger.learn("ann", 9, {1: octets})
    assert ledger.recall("ann", 9) == Memory(frozenset({1}), frozenset({1}), {1: 20})


def test_maildrops_and_uidvalidities_are_apart(ledger: SqliteLedger) -> None:
    ledger.promise("ann", 9, [1])
    ledger.note("ann", Sighting(9, 1, 0), accepted=True)
    assert ledger.recall("bob", 9) == Memory()
    assert ledger.recall("ann", 8).promised == frozenset()


def test_a_promise_that_is_kept_is_forgotten_with_all_that_was_known_of_the_message(ledger: SqliteLedger) -> None:
    for uid in (1, 2):
        ledger.promise("ann", 9, [uid])
        ledger.hide("ann", 9, [uid])
        ledger.learn("ann", 9, {uid: 10})
    ledger.settle("ann", 9, [1, 77])
    assert ledger.recall("ann", 9) == Memory(frozenset({2}), frozenset({2}), {2: 10})


def test_an_accepted_sighting_ends_the_doubt_and_what_it_outdates(ledger: SqliteLedger) -> None:
    ledger.promise("ann", 8, [1])
    ledger.promise("bob", 8, [1])
    ledger.note("ann", Sighting(9, 0, 1), accepted=False)
    ledger.note("ann", Sighting(9, 5, 2), accepted=True)
    assert ledger.recall("ann", 9) == Memory(accepted=Sighting(9, 5, 2))
    assert ledger.recall("ann", 8).promised == frozenset()
    assert ledger.recall("bob", 8).promised == {1}


def test_a_doubted_one_leaves_the_accepted_one(ledger: SqliteLedger) -> None:
    ledger.note("ann", Sighting(9, 5, 1), accepted=True)
    ledger.promise("ann", 9, [1])
    ledger.note("ann", Sighting(8, 0, 2), accepted=False)
    assert ledger.recall("ann", 9) == Memory(frozenset({1}), accepted=Sighting(9, 5, 1), doubted=Sighting(8, 0, 2))


def test_it_is_all_there_after_a_restart(ledger: SqliteLedger, file: Path) -> None:
    ledger.promise("ann", 9, [1])
    ledger.close()
    again = SqliteLedger(file)
    assert again.recall("ann", 9).promised == {1}
    again.close()


def test_a_process_that_dies_right_after_promising_has_promised(ledger: SqliteLedger, file: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", PROMISES, str(file), str(uid)]) for uid in range(1, 7)]
    assert {process.wait() for process in processes} == {9}
    assert ledger.recall("ann", 9).promised == set(range(1, 7))


def test_many_threads_lose_nothing(ledger: SqliteLedger) -> None:
    def promise(thread: int) -> None:
        for number in range(10):
            ledger.promise("ann", 9, [100 * thread + number])
            ledger.recall("ann", 9)

    threads = [threading.Thread(target=promise, args=(thread,)) for thread in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.recall("ann", 9).promised) == 80


def test_the_file_is_closed_to_others(ledger: SqliteLedger, file: Path) -> None:
    ledger.promise("ann", 9, [1])
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


# What goes wrong


def test_a_file_that_is_no_database_is_a_state_error(file: Path) -> None:
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(StateError, match=r"ledger\.db: file is not a database"):
        SqliteLedger(file)


def test_a_folder_in_its_place_is_a_state_error(file: Path) -> None:
    file.mkdir()
    with pytest.raises(StateError, match="unable to open"):
        SqliteLedger(file)


def test_a_folder_that_is_not_there_is_a_state_error(file: Path) -> None:
    with pytest.raises(StateError, match="No such file or directory"):
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
    with pytest.raises(OverflowError):
        ledger.promise("ann", 9, [1, 2**70])
    assert ledger.recall("ann", 9) == Memory()
    ledger.promise("ann", 9, [3])
    assert ledger.recall("ann", 9).promised == {3}
