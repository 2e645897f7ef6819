"""What is remembered of a maildrop between sessions, in SQLite within the state folder.

Written by worker threads of every process that shares the folder: WAL lets them read while one writes, and
synchronous=FULL makes what a method wrote durable before it returns: a promise to delete survives a power cut.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from gateway.errors import StateError
from gateway.maildrop import Memory, Sighting

BUSY_SECONDS = 2.0  # to wait for another writer: a client waits for us

# Names are in clear: whoever reads this folder reads the mail server's names too, and nothing secret is here.
_FIRST = """
CREATE TABLE promised (maildrop TEXT, uidvalidity INTEGER, uid INTEGER, PRIMARY KEY (maildrop, uidvalidity, uid))
    WITHOUT ROWID;
CREATE TABLE hidden (maildrop TEXT, uidvalidity INTEGER, uid INTEGER, PRIMARY KEY (maildrop, uidvalidity, uid))
    WITHOUT ROWID;
CREATE TABLE size (maildrop TEXT, uidvalidity INTEGER, uid INTEGER, octets INTEGER,
    PRIMARY KEY (maildrop, uidvalidity, uid)) WITHOUT ROWID;
CREATE TABLE sighting (maildrop TEXT, accepted INTEGER, uidvalidity INTEGER, messages INTEGER, since REAL,
    PRIMARY KEY (maildrop, accepted)) WITHOUT ROWID;
"""
# The upstream's size of what was promised: some servers give a UID to another message under the same UIDVALIDITY.
_PROMISED_OCTETS = "ALTER TABLE promised ADD COLUMN octets INTEGER"
_MIGRATIONS = (_FIRST, _PROMISED_OCTETS)
SCHEMA_VERSION = len(_MIGRATIONS)


class SqliteLedger:
    """Implements ports.Ledger. Every method may be called from any thread, and raises StateError."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._guard = threading.Lock()
        with _explained(file):
            file.touch(mode=0o600)
            self._database = sqlite3.connect(
                file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=FULL")
                self._migrate()
            except BaseException:
                self._database.close()
                raise

    def recall(self, maildrop: str, uidvalidity: int) -> Memory:
        """All that is known. What was known of an earlier UIDVALIDITY is forgotten: its UIDs mean nothing now."""
        with self._transaction("BEGIN") as database:

            def column(table: str) -> frozenset[int]:
                found = database.execute(
                    f"SELECT uid FROM {table} WHERE maildrop=? AND uidvalidity=?",  # noqa: S608 - ours
                    (maildrop, uidvalidity),
                )
                return frozenset(uid for (uid,) in found)

            sizes = database.execute(
                "SELECT uid, octets FROM size WHERE maildrop=? AND uidvalidity=?", (maildrop, uidvalidity)
            )
            seen = {
                bool(accepted): Sighting(validity, messages, since)
                for accepted, validity, messages, since in database.execute(
                    "SELECT accepted, uidvalidity, messages, since FROM sighting WHERE maildrop=?", (maildrop,)
                )
            }
            octets = database.execute(
                "SELECT uid, octets FROM promised WHERE maildrop=? AND uidvalidity=? AND octets IS NOT NULL",
                (maildrop, uidvalidity),
            )
            return Memory(
                column("promised"), column("hidden"), dict(sizes), seen.get(True), seen.get(False), dict(octets)
            )

    def promise(
        self,
        maildrop: str,
        uidvalidity: int,
        uids: Iterable[int],
        left: Sighting | None = None,
        octets: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        """These will be deleted, and so many messages are left then: both durable when this returns.

        `octets` are the upstream's sizes by UID: what a promise is recognised by later.
        """
        rows = [(maildrop, uidvalidity, uid, octets.get(uid)) for uid in uids]
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO promised VALUES (?, ?, ?, ?)", rows)
            if left is not None:
                self._accept(database, maildrop, left)

    def hide(self, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        """These are never shown again, and stay."""
        rows = [(maildrop, uidvalidity, uid) for uid in uids]
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO hidden VALUES (?, ?, ?)", rows)

    def settle(self, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        """These promises are kept, or taken back."""
        rows = [(maildrop, uidvalidity, uid) for uid in uids]
        with self._transaction() as database:
            database.executemany("DELETE FROM promised WHERE maildrop=? AND uidvalidity=? AND uid=?", rows)
            for table in ("size", "hidden"):
                database.executemany(
                    f"DELETE FROM {table} WHERE maildrop=? AND uidvalidity=? AND uid=?",  # noqa: S608 - ours
                    rows,
                )

    def learn(self, maildrop: str, uidvalidity: int, sizes: Mapping[int, int]) -> None:
        """What these messages really have, in octets as sent."""
        rows = [(maildrop, uidvalidity, uid, octets) for uid, octets in sizes.items()]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO size VALUES (?, ?, ?, ?)", rows)

    def note(self, maildrop: str, sighting: Sighting, *, accepted: bool) -> None:
        """How the mailbox looked. An accepted sighting ends what was doubted before it, and what it outdates."""
        with self._transaction() as database:
            (self._accept if accepted else self._doubt)(database, maildrop, sighting)

    def close(self) -> None:
        with self._guard:
            self._database.close()

    @staticmethod
    def _doubt(database: sqlite3.Connection, maildrop: str, seen: Sighting) -> None:
        row = (maildrop, False, seen.uidvalidity, seen.messages, seen.since)
        database.execute("INSERT OR REPLACE INTO sighting VALUES (?, ?, ?, ?, ?)", row)

    @staticmethod
    def _accept(database: sqlite3.Connection, maildrop: str, seen: Sighting) -> None:
        database.execute("DELETE FROM sighting WHERE maildrop=?", (maildrop,))
        for table in ("promised", "hidden", "size"):
            database.execute(
                f"DELETE FROM {table} WHERE maildrop=? AND uidvalidity<>?",  # noqa: S608 - ours
                (maildrop, seen.uidvalidity),
            )
        row = (maildrop, True, seen.uidvalidity, seen.messages, seen.since)
        database.execute("INSERT INTO sighting VALUES (?, ?, ?, ?, ?)", row)

    def _migrate(self) -> None:
        with self._transaction() as database:  # another process may be at the same
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise StateError(f"state file {self._file} was written by a newer pop3-gateway")
            if version < SCHEMA_VERSION:
                for migration in _MIGRATIONS[version:]:
                    for statement in migration.split(";\n"):
                        database.execute(statement)
                database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        if not self._guard.acquire(timeout=BUSY_SECONDS):
            raise StateError(f"state file {self._file}: busy for {BUSY_SECONDS:.0f} s")
        try:
            with _explained(self._file):
                self._database.execute(begin)
                try:
                    yield self._database
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
        finally:
            self._guard.release()


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StateError(f"state file {file}: {error}") from error
