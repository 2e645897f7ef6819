"""What is remembered of a maildrop between sessions, in SQLite within the state folder.

Written by worker threads of every process that shares the folder: WAL lets them read while one writes, and
synchronous=FULL makes what a method wrote durable before it returns: a promise to delete survives a power cut.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.errors import StateError
from gateway.maildrop import Correction, Intent, Mark, Memory, Sighting
from gateway.store.schema import migrate

BUSY_SECONDS = 2.0  # to wait for another writer: a client waits for us
# A mailbox may come back under the UIDVALIDITY that it had: what was promised then is remembered so long.
OUTDATED_SECONDS = 30 * 86_400.0

_OF_UID = "WHERE maildrop=? AND uidvalidity=? AND uid=?"
_OF_MAILDROP = "WHERE maildrop=? AND uidvalidity=?"


class SqliteLedger:
    """Implements ports.Ledger. Every method may be called from any thread, and raises StateError."""

    def __init__(self, file: Path, on_replaced: Callable[[], None] = lambda: None) -> None:
        """`on_replaced` is told when somebody removed the file or put another in its place."""
        self._file = file
        self._on_replaced = on_replaced
        self._guard = threading.Lock()
        with _explained(file):
            self._open()

    def recall(self, maildrop: str, uidvalidity: int) -> Memory:
        """All that is known under this UIDVALIDITY, and how the mailbox looked."""
        key = (maildrop, uidvalidity)
        with self._transaction("BEGIN") as database:

            def rows(columns: str, table: str) -> list[Any]:
                return database.execute(f"SELECT {columns} FROM {table} {_OF_MAILDROP}", key).fetchall()  # noqa: S608 - ours

            promised = rows("uid, octets, since, copied", "promised")
            seen = {
                bool(accepted): Sighting(*row)
                for accepted, *row in database.execute(
                    "SELECT accepted, uidvalidity, messages, since, uidnext FROM sighting WHERE maildrop=?",
                    (maildrop,),
                )
            }
            return Memory(
                promised={uid: Mark(octets, since) for uid, octets, since, _ in promised},
                hidden={uid: Mark(octets, since) for uid, octets, since in rows("uid, octets, since", "hidden")},
                corrections={
                    uid: Correction(listed, octets) for uid, listed, octets in rows("uid, listed, octets", "size")
                },
                copied=frozenset(uid for uid, _, _, copied in promised if copied),
                accepted=seen.get(True),
                doubted=seen.get(False),
            )

    def note(self, maildrop: str, sighting: Sighting, *, accepted: bool) -> None:
        """How the mailbox looked. An accepted sighting ends what was doubted before it."""
        with self._transaction() as database:
            self._note(database, maildrop, sighting, accepted=accepted)

    def intend(self, maildrop: str, intent: Intent) -> None:
        """All of it is durable when this returns, or none of it."""
        with self._transaction() as database:
            for table, marks in _tables(intent):
                database.executemany(
                    f"INSERT OR REPLACE INTO {table} (maildrop, uidvalidity, uid, octets, since)"  # noqa: S608 - ours
                    " VALUES (?, ?, ?, ?, ?)",
                    [(maildrop, intent.uidvalidity, uid, mark.octets, mark.since) for uid, mark in marks.items()],
                )
            if intent.after is not None:
                self._note(database, maildrop, intent.after, accepted=True)

    def take_back(self, maildrop: str, intent: Intent) -> None:
        with self._transaction() as database:
            for table, marks in _tables(intent):
                database.executemany(
                    f"DELETE FROM {table} {_OF_UID}",  # noqa: S608 - ours
                    [(maildrop, intent.uidvalidity, uid) for uid in marks],
                )
            if intent.before is not None:
                self._note(database, maildrop, intent.before, accepted=True)

    def note_copied(self, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        self._each(f"UPDATE promised SET copied=1 {_OF_UID}", maildrop, uidvalidity, uids)  # noqa: S608 - ours

    def fulfil(self, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        self._each(f"DELETE FROM promised {_OF_UID}", maildrop, uidvalidity, uids)  # noqa: S608 - ours

    def forget(self, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        rows = [(maildrop, uidvalidity, uid) for uid in uids]
        with self._transaction() as database:
            for table in ("promised", "hidden", "size"):
                database.executemany(f"DELETE FROM {table} {_OF_UID}", rows)  # noqa: S608 - ours

    def correct(self, maildrop: str, uidvalidity: int, corrections: Mapping[int, Correction]) -> None:
        """What these messages really have, in octets as sent."""
        rows = [(maildrop, uidvalidity, uid, row.listed, row.octets) for uid, row in corrections.items()]
        with self._transaction() as database:
            database.executemany(
                "INSERT OR REPLACE INTO size (maildrop, uidvalidity, uid, listed, octets) VALUES (?, ?, ?, ?, ?)",
                rows,
            )

    def close(self) -> None:
        with self._guard:
            self._database.close()

    def _each(self, statement: str, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        rows = [(maildrop, uidvalidity, uid) for uid in uids]
        with self._transaction() as database:
            database.executemany(statement, rows)

    @staticmethod
    def _note(database: sqlite3.Connection, maildrop: str, seen: Sighting, *, accepted: bool) -> None:
        if accepted:
            database.execute("DELETE FROM sighting WHERE maildrop=?", (maildrop,))
            for table in ("promised", "hidden"):
                database.execute(
                    f"DELETE FROM {table} WHERE maildrop=? AND uidvalidity<>? AND since<?",  # noqa: S608 - ours
                    (maildrop, seen.uidvalidity, seen.since - OUTDATED_SECONDS),
                )
            database.execute("DELETE FROM size WHERE maildrop=? AND uidvalidity<>?", (maildrop, seen.uidvalidity))
        database.execute(
            "INSERT OR REPLACE INTO sighting (maildrop, accepted, uidvalidity, messages, since, uidnext)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (maildrop, accepted, seen.uidvalidity, seen.messages, seen.since, seen.uidnext),
        )

    def _open(self) -> None:
        self._file.touch(mode=0o600)
        self._database = sqlite3.connect(
            self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            with _whole(self._database):  # another process may be at the same
                migrate(self._database, self._file)
            self._identity = self._identify()
        except BaseException:
            self._database.close()
            raise

    def _identify(self) -> tuple[int, int] | None:
        found = self._file.stat()
        return found.st_dev, found.st_ino

    def _demand_our_file(self) -> None:
        """SQLite goes on with a file that was removed or replaced, and nothing of it would be there later."""
        try:
            same = self._identify() == self._identity
        except FileNotFoundError:
            same = False
        if not same:
            self._database.close()
            self._identity = None
            self._open()
            self._on_replaced()

    @contextlib.contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        if not self._guard.acquire(timeout=BUSY_SECONDS):
            raise StateError(f"state file {self._file}: busy for {BUSY_SECONDS:.0f} s")
        try:
            with _explained(self._file):
                self._demand_our_file()
                with _whole(self._database, begin):
                    yield self._database
        finally:
            self._guard.release()


def _tables(intent: Intent) -> tuple[tuple[str, Mapping[int, Mark]], ...]:
    return ("promised", intent.promised), ("hidden", intent.hidden)


@contextlib.contextmanager
def _whole(database: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All that is done within, or nothing."""
    database.execute(begin)
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        if type(error) not in {sqlite3.DatabaseError, UnicodeDecodeError}:
            raise StateError(f"state file {file}: {error}") from error
        # The parent of SQLite's other errors is itself what it says of a damaged file, unless its words quote the
        # file, and are no text.
        raise StateError(
            f"state file {file} is damaged: {error}. Move it away with its -wal and -shm and start again: what is"
            " lost is deletions that the mail server has not carried out yet, and what on_delete: keep hides"
        ) from error
