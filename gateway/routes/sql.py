"""A database of customers: one row says where a name goes."""

from collections.abc import Sequence
from typing import Any, Protocol

from gateway import naming
from gateway.errors import LookupFailed, StateError
from gateway.naming import Values
from gateway.ports import Peer
from gateway.routes.answer import Answer
from gateway.sasl import Bearer, Credentials
from gateway.threads import Threads

COLUMNS = frozenset({"host", "port", "scheme", "user", "folder", "upstream"})


class Database(Protocol):
    def ask(self, statement: str, values: Sequence[str]) -> list[tuple[Sequence[str], Sequence[Any]]]:
        """The first two rows: names of columns, and values. Blocking; raises StateError."""

    def close(self) -> None: ...


class SqlLookUp:
    """Implements LookUp."""

    def __init__(self, query: naming.Query, database: Database, threads: Threads, place: str) -> None:
        self._query = query
        self._statement = query.statement()
        self._database = database
        self._threads = threads
        self._place = place

    async def ask(self, values: Values, claim: Credentials | Bearer, peer: Peer) -> Answer | None:  # noqa: ARG002
        parameters = [values[name] for name in self._query.names]
        try:
            rows = await self._threads.run(self._database.ask, self._statement, parameters)
        except StateError as error:
            raise LookupFailed(f"{self._place}.sql: {error}") from error
        if len(rows) > 1:
            raise LookupFailed(f"{self._place}.query: more than one row for this name; LIMIT 1 takes the first")
        return self._answer(*rows[0]) if rows else None

    def close(self) -> None:
        self._database.close()

    def _answer(self, names: Sequence[str], row: Sequence[Any]) -> Answer:
        """NULL is as if the column were not there."""
        found = {}
        for name, value in zip(names, row, strict=True):
            column = name.lower()
            if column not in COLUMNS:
                raise LookupFailed(f"{self._place}.query: {name} is none of {', '.join(sorted(COLUMNS))}; use AS")
            if not isinstance(value, str | int | None):
                raise LookupFailed(f"{self._place}.query: {column} is neither text nor a whole number")
            if value not in (None, ""):
                found[column] = str(value)
        return Answer(found)
