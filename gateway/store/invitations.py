"""Links by which people sign in, in a database: who reads it cannot open them."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from gateway.errors import AccountExists
from gateway.ports import Invitation
from gateway.sasl import Secret
from gateway.store.database import Database

_COLUMNS = "name, login, provider, created, expires, terms"
_FIND = f"SELECT {_COLUMNS} FROM invitation WHERE hashed=? AND expires>?"  # noqa: S608 - ours
_ALL = f"SELECT {_COLUMNS} FROM invitation WHERE expires>? ORDER BY login, name"  # noqa: S608 - ours
_ADD = f"INSERT INTO invitation (hashed, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608


class StoredInvitations:
    """Implements ports.Invitations in a database with the tables of schema.VAULT."""

    def __init__(self, open_database: Callable[[], Database]) -> None:
        """The database is not opened before something is asked of it."""
        self._open_database = open_database
        self._guard = threading.Lock()
        self._opened: Database | None = None

    @property
    def _database(self) -> Database:
        with self._guard:
            if self._opened is None:
                self._opened = self._open_database()
            return self._opened

    def add(self, token: Secret, invitation: Invitation) -> None:
        row = (invitation.name, invitation.login, invitation.provider, invitation.created, invitation.expires)
        with self._database.writing() as database:
            if not database.execute(_ADD, (_hashed(token), *row, json.dumps(dict(invitation.terms)))).rowcount:
                raise AccountExists(f"there is an invitation {invitation.name} already")

    def look(self, token: Secret, now: float) -> Invitation | None:
        with self._database.reading() as database:
            row = database.execute(_FIND, (_hashed(token), now)).fetchone()
        return _invitation(*row) if row else None

    def consume(self, token: Secret, now: float) -> Invitation | None:
        """Whoever removes the row has it: PostgreSQL lets several look at it first."""
        with self._database.writing() as database:
            row = database.execute(_FIND, (_hashed(token), now)).fetchone()
            removed = row and database.execute("DELETE FROM invitation WHERE hashed=?", (_hashed(token),)).rowcount
        return _invitation(*row) if removed else None

    def all(self, now: float) -> Iterable[Invitation]:
        with self._database.reading() as database:
            rows = database.execute(_ALL, (now,)).fetchall()
        return [_invitation(*row) for row in rows]

    def withdraw(self, name: str) -> bool:
        with self._database.writing() as database:
            return bool(database.execute("DELETE FROM invitation WHERE name=?", (name,)).rowcount)

    def sweep(self, now: float) -> int:
        with self._database.writing() as database:
            return database.execute("DELETE FROM invitation WHERE expires<=?", (now,)).rowcount


def _hashed(token: Secret) -> str:
    """Nobody guesses what is random: it needs neither salt nor time."""
    return hashlib.sha256(token.reveal().encode()).hexdigest()


def _invitation(name: str, login: str, provider: str, created: float, expires: float, terms: Any) -> Invitation:
    return Invitation(name, login, provider, created, expires, json.loads(terms))
