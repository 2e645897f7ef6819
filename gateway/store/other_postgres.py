"""A PostgreSQL of others', asked with the same limits as our own."""

from collections.abc import Sequence

import psycopg

from gateway.store.customers import Row, rows_of
from gateway.store.postgres import LIMITS, Pool

_LOOK = f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;{LIMITS}"


class PostgresCustomers(Pool):
    """Implements customers.Customers."""

    @property
    def place(self) -> str:
        return f"database {self._address.shown}"

    def ask(self, statement: str, values: Sequence[str]) -> list[Row]:
        with self.transaction(_LOOK) as database:
            return rows_of(database.execute(statement.replace("%", "%%"), values))

    def advice(self, error: Exception) -> str:
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return "its user must be allowed to read it"
        return ""
