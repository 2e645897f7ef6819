"""What is remembered stands in a database: a SQLite file, or PostgreSQL for several machines.

Both know the same statements, so the ledger and the vault are written once.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Rows(Protocol):
    """What a statement found, or how many rows it changed."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any:
        """A tuple; None if there is no further row."""

    def fetchall(self) -> list[Any]: ...


class Statements(Protocol):
    """SQL that both understand, with ? for each value: an integer of 64 bits, a float, any text, None."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Rows: ...

    def execute_for(self, statement: str, rows: Sequence[Sequence[Any]], /) -> None:
        """`{rows}` in the statement stands for the rows: after INSERT INTO … (…), or in WHERE (…, …) IN ({rows}).

        There may be 100,000. A column is of one type, or None.
        """


class Database(Protocol):
    """Every method may be called from any thread, blocks for a bounded time, and raises StateError."""

    def reading(self) -> AbstractContextManager[Statements]:
        """All that is read within is of one moment."""

    def writing(self) -> AbstractContextManager[Statements]:
        """All that is done within is durable afterwards, or nothing of it was done.

        Where the connection breaks just at the end, it may be durable for all the StateError that is raised.
        """

    def close(self) -> None: ...
