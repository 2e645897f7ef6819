"""A SQLite file that several threads of several processes read and write.

WAL lets them read while one writes, and synchronous=FULL makes what was written durable when writing() ends. Each
reading has a connection to itself, so that no login waits for another user's long QUIT.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import StateError
from gateway.store.database import Statements
from gateway.store.folder import give_to_owner, make
from gateway.store.schema import Schema

BUSY_SECONDS = 2.0  # to wait for another writer: a client waits for us
LOOK_SECONDS = 0.01  # between two tries, where SQLite does not wait by itself
IDLE_READERS = 8  # are kept open: one reads for a tenth of a millisecond


@dataclass(frozen=True, slots=True)
class _Connection:
    database: sqlite3.Connection
    identity: tuple[int, int]  # of the file that it was opened on


class SqliteDatabase:
    """Implements database.Database."""

    def __init__(self, file: Path, schema: Schema, on_replaced: Callable[[], None]) -> None:
        """`on_replaced` is told when somebody removed the file or put another in its place."""
        self._file = file
        self._schema = schema
        self._on_replaced = on_replaced
        self._guard = threading.Lock()  # for what follows, and for the one that writes
        self._closed = False
        with self.explained():
            self._writer = self._open()
        self._readers: list[_Connection] = []  # that nobody is using

    @contextlib.contextmanager
    def reading(self) -> Iterator[Statements]:
        """All that is read within is of one moment."""
        with self.explained():
            connection = self._take_reader()
            try:
                with _whole(connection.database, "BEGIN"):
                    yield _Statements(connection.database)
            except BaseException:
                connection.database.close()
                raise
            if self._closed or len(self._readers) >= IDLE_READERS:
                connection.database.close()
            else:
                self._readers.append(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Statements]:
        """All that is done within is durable afterwards, or nothing of it was done."""
        with self._guarded(), self.explained():
            self._demand_our_file()
            with _whole(self._writer.database):
                yield _Statements(self._writer.database)

    def close(self) -> None:
        with self._guard:
            self._closed = True
            for connection in (self._writer, *self._readers):
                connection.database.close()

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Within, what goes wrong with the file becomes a StateError."""
        try:
            yield
        except OverflowError as error:  # SQLite's integers have 64 bits
            raise StateError(f"state file {self._file}: a number is out of range: {error}") from error
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            if type(error) not in (sqlite3.DatabaseError, UnicodeDecodeError):
                raise StateError(f"state file {self._file}: {error}") from error
            # The parent of SQLite's other errors is itself what it says of a damaged file; or a text is none.
            raise StateError(
                f"state file {self._file} is damaged: {error}. Move it away with its -wal and -shm and start"
                f" again: what is lost is {self._schema.lost}"
            ) from error

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        if not self._guard.acquire(timeout=BUSY_SECONDS):
            raise StateError(f"state file {self._file}: busy for {BUSY_SECONDS:.0f} s")
        try:
            if self._closed:
                raise StateError(f"state file {self._file}: closed")
            yield
        finally:
            self._guard.release()

    def _take_reader(self) -> _Connection:
        """One that is free, or a new one."""
        if self._closed:
            raise StateError(f"state file {self._file}: closed")
        identity = self._identify()
        while self._readers:
            connection = self._readers.pop()
            if connection.identity == identity:
                return connection
            connection.database.close()
        if identity != self._writer.identity:
            with self._guarded():
                self._demand_our_file()
        return self._connect()

    def _demand_our_file(self) -> None:
        """SQLite goes on with a file that was removed or replaced, and nothing of it would be there later."""
        if self._identify() != self._writer.identity:
            stale, self._writer = self._writer, self._open()
            stale.database.close()
            self._on_replaced()

    def _identify(self) -> tuple[int, int] | None:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _open(self) -> _Connection:
        """To write: makes the file, and its tables."""
        make(self._file.parent)
        if not self._file.exists():  # SQLite itself gives what it makes beside it to the file's owner
            self._file.touch(mode=0o600)
            give_to_owner(self._file, self._file.parent)
        connection = self._connect()
        try:
            _use_wal(connection.database)
            connection.database.execute("PRAGMA synchronous=FULL")
            with _whole(connection.database):  # another process may be at the same
                self._migrate(connection.database)
        except BaseException:
            connection.database.close()
            raise
        return connection

    def _migrate(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        for statement in self._schema.steps(version, f"state file {self._file}"):
            database.execute(statement)
        if version != self._schema.version:
            database.execute(f"PRAGMA user_version={self._schema.version}")

    def _connect(self) -> _Connection:
        found = self._file.stat()
        database = sqlite3.connect(self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        return _Connection(database, (found.st_dev, found.st_ino))


class _Statements:
    """Implements database.Statements."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def execute_for(self, statement: str, rows: Sequence[Sequence[Any]], /) -> None:
        """Row by row. With IN it would not look into an index."""
        if rows:
            row = f"({', '.join('?' * len(rows[0]))})"
            self._connection.executemany(
                statement.replace("IN ({rows})", f"= {row}").format(rows=f"VALUES {row}"), rows
            )


def _use_wal(database: sqlite3.Connection) -> None:
    """Another process may be at the same. SQLite does not wait for it here: it has read, and wants to write."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(LOOK_SECONDS)
        else:
            return


@contextlib.contextmanager
def _whole(database: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All that is done within, or nothing."""
    database.execute(begin)
    try:
        yield
    except BaseException:
        if database.in_transaction:  # SQLite has ended it itself where the disk is full, and says no more then
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
