"""Deadlines in PostgreSQL, for several machines: their clocks are to agree, as NTP has them."""

import hashlib
import threading
from collections.abc import Callable, Sequence

from gateway.store.database import Database, Statements

_TRIMMED_PART = 16  # of the most that there may be: after so many changes here the earliest go

_FIND = "SELECT key, due FROM deadline WHERE place=? AND key IN ({places})"
_MAKE = "INSERT INTO deadline (place, key, due) {rows} ON CONFLICT DO NOTHING"
_SET = "UPDATE deadline SET due=? WHERE place=? AND key=?"
_TRIM = (
    "DELETE FROM deadline WHERE place=? AND (due, key) <="
    " (SELECT due, key FROM deadline WHERE place=? ORDER BY due DESC, key DESC OFFSET ? LIMIT 1)"
)


class SharedDeadlines:
    """Implements ports.Deadlines in a database with the tables of schema.SESSIONS."""

    def __init__(self, database: Database, place: str, most: int) -> None:
        self._database = database
        self._place = place
        self._most = most
        self._guard = threading.Lock()
        self._changes = 0  # since the earliest went

    def at_hand(self, keys: Sequence[str]) -> None:  # noqa: ARG002
        """Nothing is, without asking."""
        return

    def recall(self, keys: Sequence[str]) -> Sequence[float]:
        with self._database.reading() as database:
            return self._find(database, [_digest(key) for key in keys])

    def revise(self, keys: Sequence[str], change: Callable[[Sequence[float]], Sequence[float]]) -> None:
        """What is not there yet is made first, for others to wait at; in the order of the keys, or two of us could
        wait for each other.
        """
        digests = [_digest(key) for key in keys]
        with self._database.writing() as database:
            database.execute("SET LOCAL synchronous_commit=off")  # a crash of the server only forgets sooner
            database.execute_for(_MAKE, [(self._place, digest, 0.0) for digest in sorted(set(digests))])
            before = self._find(database, digests, " ORDER BY key FOR UPDATE")
            for digest, old, new in zip(digests, before, change(before), strict=True):
                if new != old:
                    database.execute(_SET, (new, self._place, digest))
            if self._is_time_to_trim():
                database.execute(_TRIM, (self._place, self._place, self._most))

    def _find(self, database: Statements, digests: Sequence[str], how: str = "") -> Sequence[float]:
        statement = _FIND.format(places=", ".join("?" * len(digests))) + how
        found = dict(database.execute(statement, (self._place, *digests)).fetchall())
        return [found.get(digest, 0.0) for digest in digests]

    def _is_time_to_trim(self) -> bool:
        with self._guard:
            self._changes += 1
            due = self._changes * _TRIMMED_PART > self._most
            if due:
                self._changes = 0
        return due


def _digest(key: str) -> str:
    """A name may be long, and of characters that no database takes."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
