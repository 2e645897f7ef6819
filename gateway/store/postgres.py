"""PostgreSQL, which several machines share: a few connections for many threads, and an end to every wait.

A server that goes away is met again once it is back, by whoever asks next. Everything stands in a schema of our
own, and every transaction says for itself what it needs, so that a pooler (pgbouncer) may stand between.
"""

import contextlib
import re
import select
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.types.string import StrDumperUnknown, TextLoader
from psycopg.waiting import Ready, Wait

from gateway.errors import StateError
from gateway.store.address import Address
from gateway.store.database import Statements
from gateway.store.schema import Schema

CONNECTIONS = 5  # of a process, at most: PostgreSQL has 100 for all, unless it is told otherwise
WAIT_SECONDS = 2.0  # for one of them, and for another's lock: a client waits for us
STATEMENT_SECONDS = 5.0  # for one statement
SILENCE_SECONDS = 6.0  # from the server, which would have ended the statement: it hangs, or the way there does
ABANDONED_SECONDS = 10.0  # then it gives up a transaction whose gateway has gone, and what that had locked
ROWS_AT_ONCE = 10_000  # of a statement, which is to end in its time
AWAY_SECONDS = 1.0  # after a failed connection the others do not try: all that wait would wait in turn

_SCHEMA = "pop3_gateway"
LIMITS = (
    f"SET LOCAL lock_timeout='{WAIT_SECONDS}s';"
    f"SET LOCAL statement_timeout='{STATEMENT_SECONDS}s';"
    f"SET LOCAL idle_in_transaction_session_timeout='{ABANDONED_SECONDS}s'"
)
_OURS = f"SET LOCAL search_path={_SCHEMA};{LIMITS}"
_READ = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;{_OURS}"
_WRITE = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;{_OURS};SET LOCAL synchronous_commit=on"
# Another gateway may make the same tables just now.
_MIGRATE = f"{_WRITE};SET LOCAL lock_timeout='{STATEMENT_SECONDS}s'"
_MIGRATION_LOCK = 0x706F7033  # a number of our own among a database's advisory locks

# What PostgreSQL calls what SQLite has.
_WORDS = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION", "WITHOUT ROWID": ""}
_SQLITE_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b")
# PostgreSQL's text has no NUL, and our keys do.
_ESCAPES = {"\0": "\x01z", "\x01": "\x01o"}
_ESCAPED = {escape: character for character, escape in _ESCAPES.items()}

# What to do about it; the first that fits counts.
_ADVICE: Final[tuple[tuple[type[psycopg.Error], str], ...]] = (
    (errors.InsufficientPrivilege, "its user must be allowed to make a schema and tables, or use those there are"),
    (errors.UndefinedTable, "the tables are gone; a restart makes them anew, without what was in them"),
    (errors.ReadOnlySqlTransaction, "this is a standby: name the primary in `state`"),
    (errors.LockNotAvailable, "others are writing the same"),
    (errors.DiskFull, "make room there"),
    (psycopg.OperationalError, "logins wait for it; see to the server, or to `state`"),
)
_T = TypeVar("_T")


class Pool:
    """Connections to one database, made when they are needed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: list[_Connection] = []
        self._closed = False
        self._away_until = 0.0
        self._why_away = ""

    @property
    def place(self) -> str:
        """For people; without the password."""
        return f"state database {self._address.shown}"

    @contextlib.contextmanager
    def transaction(self, begin: str) -> Iterator[Statements]:
        """All that is done within, or nothing. Raises StateError."""
        with self._explained():
            connection = self._take()
            try:
                connection.execute(begin.encode())
                yield _Statements(connection)
                connection.execute(b"COMMIT")
            except BaseException:
                with contextlib.suppress(psycopg.Error):
                    connection.execute(b"ROLLBACK")
                raise
            finally:
                self._give_back(connection)

    def look(self) -> tuple[str, bool]:
        """Which server it is, and whether our tables are there; then all is closed. Raises StateError."""
        with contextlib.closing(self), self.transaction(_READ) as database:
            [server] = database.execute("SELECT current_setting('server_version')").fetchone()
            is_made = _has_tables(database)
        new = "" if is_made else "; the tables will be made"
        return f"{self._address.shown}, PostgreSQL {server}{new}", is_made

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, UnicodeError) as error:
            raise StateError(self._explain(error)) from error

    def _explain(self, error: Exception) -> str:
        said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        lines = (said or str(error) or type(error).__name__).splitlines()
        advice = self.advice(error)
        return f"{self.place}: {self._address.without_password(lines[0])}{f' ({advice})' if advice else ''}"

    def advice(self, error: Exception) -> str:
        """What to do about it; empty where nobody knows."""
        return next((text for kind, text in _ADVICE if isinstance(error, kind)), "")

    def _take(self) -> "_Connection":
        """The one that was used last, if it is still whole; or a new one."""
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise StateError(f"{self.place}: all {CONNECTIONS} connections were busy for {WAIT_SECONDS:.0f} s")
        try:
            while self._idle and not self._closed:
                with contextlib.suppress(IndexError):
                    connection = self._idle.pop()
                    if connection.is_quiet:
                        return connection
                    connection.close()
            return self._connect()
        except BaseException:
            self._places.release()
            raise

    def _give_back(self, connection: "_Connection") -> None:
        if self._closed or not connection.is_quiet:
            connection.close()
        else:
            self._idle.append(connection)
        self._places.release()

    def _connect(self) -> "_Connection":
        if self._closed:
            raise StateError(f"{self.place}: closed")
        if time.monotonic() < self._away_until:
            raise StateError(self._why_away)
        try:
            return _Connection.connect(
                autocommit=True, prepare_threshold=None, **self._address.parameters
            )  # a pooler's connections know nothing of what others prepared
        except psycopg.Error as error:
            self._why_away = self._explain(error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise


class PostgresDatabase:
    """Implements database.Database, with tables that are made here."""

    def __init__(self, pool: Pool, schema: Schema) -> None:
        self._pool = pool
        with pool.transaction(_MIGRATE) as database:
            database.execute("SELECT pg_advisory_xact_lock(?)", (_MIGRATION_LOCK,))
            _migrate(database, schema, pool.place)

    def reading(self) -> contextlib.AbstractContextManager[Statements]:
        return self._pool.transaction(_READ)

    def writing(self) -> contextlib.AbstractContextManager[Statements]:
        return self._pool.transaction(_WRITE)

    def close(self) -> None:
        """The pool is others', too."""


def _migrate(database: Statements, schema: Schema, place: str) -> None:
    if database.execute("SELECT 1 FROM pg_namespace WHERE nspname=?", (_SCHEMA,)).fetchone() is None:
        database.execute(f"CREATE SCHEMA {_SCHEMA}")
    if not _has_tables(database):
        database.execute("CREATE TABLE version (tables TEXT PRIMARY KEY, number BIGINT NOT NULL)")
    row = database.execute("SELECT number FROM version WHERE tables=?", (schema.name,)).fetchone()
    known = row[0] if row else 0
    for statement in schema.steps(known, place):
        database.execute(_SQLITE_WORD.sub(lambda word: _WORDS[word[0]], statement))
    if known != schema.version:  # else whoever may use the tables, and no more, is enough
        database.execute(
            "INSERT INTO version (tables, number) VALUES (?, ?)"
            " ON CONFLICT (tables) DO UPDATE SET number=excluded.number",
            (schema.name, schema.version),
        )


def _has_tables(database: Statements) -> bool:
    [found] = database.execute("SELECT to_regclass(?) IS NOT NULL", (f"{_SCHEMA}.version",)).fetchone()
    return bool(found)


class _Statements:
    """Implements database.Statements."""

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(_translated(statement), values or None)

    def execute_for(self, statement: str, rows: Sequence[Sequence[Any]], /) -> None:
        """An array for each column: a statement for each row takes ten times as long."""
        for start in range(0, len(rows), ROWS_AT_ONCE):
            columns = [_column(values) for values in zip(*rows[start : start + ROWS_AT_ONCE], strict=True)]
            arrays = ", ".join(f"?::{kind}[]" for kind, _ in columns)
            given = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - the kinds are ours
            self.execute(statement.format(rows=given), [values for _, values in columns])


def _column(values: Sequence[Any]) -> tuple[str, list[Any]]:
    """What PostgreSQL calls its type, and the values, all of it."""
    kinds = {type(value) for value in values if value is not None}
    if str in kinds:
        return "text", list(values)
    if float in kinds:
        return "double precision", [None if value is None else float(value) for value in values]
    return "bigint", list(values)


def _translated(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """One that does not wait for ever, and whose text may hold any character."""

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> "_Connection":
        connection = super().connect(*args, **kwargs)
        connection.adapters.register_dumper(str, _TextDumper)
        connection.adapters.register_loader("text", _TextLoader)
        return connection

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way. A server that ends a connection says so, or closes it: there is something
        to be read then.
        """
        if self.closed or self.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)

    def wait(self, gen: PQGen[_T], *args: Any, **kwargs: Any) -> _T:
        """libpq itself would wait as long as the system does, and that is for ever where the server only hangs."""
        try:
            return super().wait(_impatient(gen), *args, **kwargs)
        except _Silence:
            self.pgconn.finish()
            raise


class _Silence(psycopg.OperationalError):
    pass


def _impatient(gen: PQGen[_T]) -> Generator[Wait, Ready | int, _T]:
    """The same, until nothing has come or gone for too long."""
    end = time.monotonic() + SILENCE_SECONDS
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            now = time.monotonic()
            if ready:
                end = now + SILENCE_SECONDS
            elif now >= end:
                raise _Silence(f"no answer for {SILENCE_SECONDS:.0f} s")
            wanted = gen.send(ready)
    except StopIteration as done:
        value: _T = done.value
        return value


class _TextDumper(StrDumperUnknown):
    def dump(self, obj: str) -> Any:
        if "\0" in obj or "\x01" in obj:
            obj = re.sub("[\0\x01]", lambda found: _ESCAPES[found[0]], obj)
        return super().dump(obj)


class _TextLoader(TextLoader):
    def load(self, data: Any) -> Any:
        text = super().load(data)
        if isinstance(text, str) and "\x01" in text:
            return re.sub("\x01[zo]", lambda found: _ESCAPED[found[0]], text)
        return text
