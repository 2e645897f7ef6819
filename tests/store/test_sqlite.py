"""What happens to a SQLite file: it is closed to others, taken away, damaged, or of another version."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import StateError
from gateway.maildrop import Correction, Intent, Mark, Memory, Sighting
from gateway.store import sqlite
from gateway.store.ledger import StoredLedger
from gateway.store.schema import LEDGER
from gateway.store.sqlite import SqliteDatabase

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


def marks(*uids: int) -> dict[int, Mark]:
    return dict.fromkeys(uids, MARK)


def open_ledger(file: Path, told: list[str] | None = None) -> StoredLedger:
    """`told` gets a word when the file was replaced."""
    return StoredLedger(SqliteDatabase(file, LEDGER, lambda: None if told is None else told.append("replaced")))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Iterator[StoredLedger]:
    made = open_ledger(file)
    yield made
    made.close()


def test_the_file_is_closed_to_others(ledger: StoredLedger, file: Path) -> None:
    ledger.intend("ann", Intent(9, marks(1)))
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


def test_a_file_that_is_no_database_is_a_state_error_that_says_what_to_do(file: Path) -> None:
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(StateError, match=r"ledger\.db is damaged: file is not a database\. Move it away with"):
        open_ledger(file)


def test_a_file_that_is_damaged_later_is_told_so_too(ledger: StoredLedger, file: Path) -> None:
    ledger.intend("ann", Intent(9, marks(*range(1, 2000))))
    ledger.close()
    octets = bytearray(file.read_bytes())
    octets[4096:] = b"\xff" * (len(octets) - 4096)
    file.write_bytes(octets)
    damaged = open_ledger(file)
    with pytest.raises(StateError, match="is damaged: database disk image is malformed"):
        damaged.recall("ann", 9)
    damaged.close()


def test_those_who_read_at_once_do_not_wait_for_each_other_and_leave_few_files_open(file: Path) -> None:
    database = SqliteDatabase(file, LEDGER, lambda: None)
    for _ in range(3):
        with database.reading() as one, database.reading() as other:
            assert one is not other
    assert len(database._readers) == 2
    database.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_taken_away_while_we_run_is_begun_anew_and_told(file: Path, replaced: bool) -> None:
    """SQLite would go on with the old one, which no later process finds."""
    told: list[str] = []
    ledger = open_ledger(file, told)
    ledger.intend("ann", Intent(9, marks(1)))
    for found in file.parent.glob("ledger.db*"):
        found.unlink()
    if replaced:
        open_ledger(file).close()
    assert ledger.recall("ann", 9) == Memory()
    ledger.intend("ann", Intent(9, marks(2)))
    other = open_ledger(file)
    assert other.recall("ann", 9).promised == marks(2)
    assert told == ["replaced"]
    other.close()
    ledger.close()


def test_a_folder_that_is_taken_away_is_made_again_and_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    told: list[str] = []
    ledger = open_ledger(folder / "ledger.db", told)
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
    ledger = open_ledger(file)
    known = ledger.recall("ann", 9)
    assert known == Memory({1: Mark()}, {2: Mark()}, {3: Correction(None, 30)}, accepted=Sighting(9, 4, 1.5))
    ledger.close()


def test_a_file_that_another_process_makes_at_the_same_moment_is_waited_for(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        finish = threading.Timer(0.1, other.execute, ("COMMIT",))
        finish.start()
        ledger = open_ledger(file)
        finish.join()
    assert ledger.recall("ann", 9) == Memory()
    ledger.close()


def test_a_file_that_another_process_keeps_to_itself_is_a_state_error(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="locked"):
            open_ledger(file)


def test_a_folder_in_its_place_is_a_state_error(file: Path) -> None:
    file.mkdir()
    with pytest.raises(StateError, match="unable to open"):
        open_ledger(file)


def test_a_file_in_the_place_of_the_folder_is_a_state_error(file: Path) -> None:
    file.touch()
    with pytest.raises(StateError, match="File exists"):
        open_ledger(file / "ledger.db")


def test_a_file_of_a_newer_gateway_is_left_alone(ledger: StoredLedger, file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(StateError, match="newer"):
        open_ledger(file)
