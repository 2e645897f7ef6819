"""Databases of others, where an operator has who his customers are: read, never written, not waited for long."""

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from gateway.errors import SettingsError, StateError

BUSY_SECONDS = 2.0  # to wait for who writes
QUERY_SECONDS = 5.0  # for a query in a file
STEPS = 10_000  # of SQLite's machine, between two looks at the clock
ROWS = 2  # that are fetched: one, and another that should not be there
INSTALL = "pip install '.[postgresql]' in the source folder"

Row = tuple[Sequence[str], Sequence[Any]]  # the names of its columns, and their values


class Customers(Protocol):
    """From any thread."""

    def ask(self, statement: str, values: Sequence[str]) -> list[Row]:
        """The first rows, at most ROWS. The statement has ? for each value. Blocking; raises StateError."""

    def close(self) -> None: ...


def open_customers(url: str, setting: str) -> Customers:
    """Nothing is connected yet. `url` is postgresql://… or sqlite:/path. Raises SettingsError."""
    if url.startswith("sqlite:"):
        return SqliteCustomers(Path(url.removeprefix("sqlite:")))
    try:
        from gateway.store.address import Address  # noqa: PLC0415 - psycopg is there for those who need it
        from gateway.store.other_postgres import PostgresCustomers  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(f"{setting}: postgresql:// needs psycopg ({error}): {INSTALL}") from None
    return PostgresCustomers(Address.of(url, setting))


class SqliteCustomers:
    """Implements Customers. A file is opened for each query, which takes less time than it is worth saving."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def ask(self, statement: str, values: Sequence[str]) -> list[Row]:
        end = time.monotonic() + QUERY_SECONDS
        uri = f"file:{quote(str(self._file))}?mode=ro"
        try:
            with contextlib.closing(sqlite3.connect(uri, timeout=BUSY_SECONDS, uri=True)) as database:
                database.set_progress_handler(lambda: time.monotonic() > end, STEPS)
                return rows_of(database.execute(statement, values))
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
            raise StateError(f"database {self._file}: {error}") from error

    def close(self) -> None:
        pass


def rows_of(cursor: Any) -> list[Row]:
    """Of a DB-API cursor."""
    names = [column[0] for column in cursor.description or ()]
    return [(names, row) for row in cursor.fetchmany(ROWS)] if names else []
