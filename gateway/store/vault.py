"""Accounts in a database: upstream secrets and SCRAM keys encrypted, passwords hashed."""

import base64
import hmac
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from gateway.errors import AccountExists, BadRecord, NoSuchAccount, StateError
from gateway.maildrop import OnDelete
from gateway.ports import AppPassword, Grant, StoredAccount
from gateway.sasl import Secret, one_spelling
from gateway.store.database import Database, Rows, Statements
from gateway.store.keys import Keys
from gateway.store.sealed import grant_of, grant_text, key_of, key_text

_ACCOUNT = "name, upstream, user_there, secret, salt, created, folder, on_delete, granted"
_LATER = {"granted": ""}  # columns that an export of an earlier version has not
_PASSWORD = "name, label, hashed, keys, created, used, expires, read_only, folder, networks, on_delete"  # noqa: S105

_PASSWORDS_OF = f"SELECT {_PASSWORD} FROM app_password WHERE login=? ORDER BY created, name"  # noqa: S608 - ours
_PAGE = f"SELECT login, {_ACCOUNT} FROM account WHERE login>? ORDER BY login LIMIT ?"  # noqa: S608 - ours
_PASSWORDS_BETWEEN = (
    f"SELECT login, {_PASSWORD} FROM app_password WHERE login BETWEEN ? AND ? ORDER BY login, created, name"  # noqa: S608
)
_GRANTED = "SELECT granted FROM account WHERE login=?"
PAGE_ROWS = 1000
_NUMBERS = frozenset({"created", "used", "expires", "read_only"})

_Rows = tuple[Sequence[Any], list[Sequence[Any]]]  # an account's, and those of its passwords


class StoredVault:
    """Implements ports.Vault in a database with the tables of schema.VAULT."""

    def __init__(
        self, open_database: Callable[[], Database], exists: Callable[[], bool], open_keys: Callable[[bool], Keys]
    ) -> None:
        """The database is not opened before it exists, or is to. Keys are wanted with the first secret, and may be
        made anew where the argument is true: there is no account yet.
        """
        self._open_database = open_database
        self._exists = exists
        self._open_keys = open_keys
        self._guard = threading.Lock()
        self._opened: Database | None = None
        self._known_keys: Keys | None = None
        self._unforeseen = secrets.token_bytes(32)

    @property
    def is_unused(self) -> bool:
        return self._opened is None and not self._exists()

    @property
    def _database(self) -> Database:
        with self._guard:
            if self._opened is None:
                self._opened = self._open_database()
            return self._opened

    @property
    def _keys(self) -> Keys:
        known = self._known_keys
        if known is None:
            known = self._known_keys = self._open_keys(self._is_empty())
        return known

    def _is_empty(self) -> bool:
        with self._database.reading() as database:
            return database.execute("SELECT 1 FROM account LIMIT 1").fetchone() is None

    def _decrypt(self, token: str) -> str:
        """Keys are read anew where these do not fit: `vault rotate` may have run beside us."""
        try:
            return self._keys.decrypt(token)
        except StateError:
            return self.keys(anew=True).decrypt(token)

    def keys(self, *, anew: bool = False) -> Keys:
        """Those that it encrypts with; `anew`: as they are by now. Raises StateError."""
        if anew:
            self._known_keys = self._open_keys(False)
        return self._keys

    def _encrypt(self, text: str) -> str:
        """With the key that is the first now, likewise: the others may be taken out of their file one day."""
        if self._known_keys is not None:
            self._known_keys = self._open_keys(False)
        return self._keys.encrypt(text)

    def find(self, login: str) -> StoredAccount | None:
        with self._database.reading() as database:
            row = database.execute(f"SELECT {_ACCOUNT} FROM account WHERE login=?", (_key(login),)).fetchone()  # noqa: S608
            passwords = database.execute(_PASSWORDS_OF, (_key(login),)).fetchall() if row else ()
        return self._account(row, passwords) if row else None

    def prove_keys(self) -> None:
        if self.is_unused:
            return
        with self._database.reading() as database:
            row = database.execute("SELECT secret FROM account LIMIT 1").fetchone()
        if row:
            self._decrypt(row[0])

    def has_readable(self) -> bool:
        if self.is_unused:
            return False
        with self._database.reading() as database:
            return database.execute("SELECT 1 FROM app_password WHERE readable=1 LIMIT 1").fetchone() is not None

    def stand_in(self, login: str) -> bytes:
        """By the keys, which all workers and machines have; where there are none, there is nobody to be hidden."""
        if self._known_keys is None and (self.is_unused or self._is_empty()):
            return hmac.digest(self._unforeseen, _key(login).encode(), "sha256")
        return self._keys.stand_in(_key(login))

    def all(self) -> Iterable[StoredAccount]:
        return (self._account(row, passwords) for row, passwords in self._rows())

    def add(self, account: StoredAccount) -> None:
        secret = self._encrypt(account.secret.reveal())
        salt = base64.b64encode(account.salt).decode("ascii")
        row = (account.upstream, account.user, secret, salt, account.created, account.folder)
        columns = (_key(account.login), account.login, *row, _said(account.on_delete), self._sealed(account.grant))
        with self._database.writing() as database:
            added = _insert(database, "account", "login, " + _ACCOUNT, columns, " ON CONFLICT DO NOTHING")
            if not added.rowcount:
                raise AccountExists(f"there is an account {account.login} already")
            for password in account.passwords:
                self._add_password(database, account.login, password)

    def remove(self, login: str) -> None:
        with self._database.writing() as database:
            _demand(database, login)
            database.execute("DELETE FROM app_password WHERE login=?", (_key(login),))
            database.execute("DELETE FROM account WHERE login=?", (_key(login),))
            invited = database.execute("SELECT name, login FROM invitation").fetchall()
            for name in [name for name, whose in invited if _key(whose) == _key(login)]:
                database.execute("DELETE FROM invitation WHERE name=?", (name,))

    def change(self, account: StoredAccount) -> None:
        values = (account.upstream, account.user, account.folder, _said(account.on_delete), _key(account.login))
        with self._database.writing() as database:
            _demand(database, account.login)
            database.execute(
                "UPDATE account SET upstream=?, user_there=?, folder=?, on_delete=? WHERE login=?", values
            )

    def set_secret(self, login: str, secret: Secret) -> None:
        encrypted = self._encrypt(secret.reveal())
        with self._database.writing() as database:
            _demand(database, login)
            database.execute("UPDATE account SET secret=? WHERE login=?", (encrypted, _key(login)))

    def grant(self, login: str) -> Grant | None:
        with self._database.reading() as database:
            row = database.execute(_GRANTED, (_key(login),)).fetchone()
        return self._grant(row[0]) if row else None

    def set_grant(self, login: str, grant: Grant | None) -> None:
        sealed = self._sealed(grant)
        with self._database.writing() as database:
            _demand(database, login)
            database.execute("UPDATE account SET granted=? WHERE login=?", (sealed, _key(login)))

    def revise_grant(self, login: str, grant: Grant) -> bool:
        """Compared with what was there and exchanged for it: PostgreSQL lets others write meanwhile."""
        while True:
            with self._database.writing() as database:
                row = database.execute(_GRANTED, (_key(login),)).fetchone()
                known = self._grant(row[0]) if row else None
                if known is None or known.since != grant.since:
                    return False
                exchange = (self._sealed(grant), _key(login), row[0])
                if database.execute("UPDATE account SET granted=? WHERE login=? AND granted=?", exchange).rowcount:
                    return True

    def add_password(self, login: str, password: AppPassword) -> None:
        with self._database.writing() as database:
            _demand(database, login)
            self._add_password(database, login, password)

    def revoke(self, login: str, name: str) -> None:
        with self._database.writing() as database:
            _demand(database, login)
            gone = database.execute("DELETE FROM app_password WHERE login=? AND name=?", (_key(login), name))
            if not gone.rowcount:
                raise NoSuchAccount(f"{login} has no password {name}; `account show {login}` lists them")

    def note_used(self, login: str, name: str, when: float) -> None:
        with self._database.writing() as database:
            database.execute("UPDATE app_password SET used=? WHERE login=? AND name=?", (when, _key(login), name))

    def rotate(self) -> Iterator[int]:
        """Page by page, so no login waits for long. What somebody else changes meanwhile is left as he has it."""
        keys = self._keys
        for page in self._pages():
            tokens = [found for row, passwords in page for found in _tokens(row, passwords)]
            changes = [(update, (keys.again(token), *whose, token)) for update, whose, token in tokens]
            with self._database.writing() as database:
                for update, values in changes:
                    database.execute(update, values)
            yield len(changes)

    def dump(self) -> Iterator[Mapping[str, Any]]:
        for row, passwords in self._rows():
            named = [dict(zip(_names(_PASSWORD), password, strict=True)) for password in passwords]
            yield dict(zip(_names(_ACCOUNT), row, strict=True)) | {"passwords": named}

    def dumped(self, record: Mapping[str, Any]) -> StoredAccount:
        try:
            passwords = [_row(password, _PASSWORD) for password in record["passwords"]]
            row = _row(_LATER | dict(record), _ACCOUNT)
            self.keys(anew=True)  # those that it was exported with: new ones could not read it
            return self._account(row, passwords)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise BadRecord(f"this is no account of an export: {error!r}") from error

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _rows(self) -> Iterator[_Rows]:
        return (rows for page in self._pages() for rows in page)

    def _pages(self) -> Iterator[list[_Rows]]:
        """All there are; no reading lasts while somebody uses a page, who may be slow."""
        last = ""
        while True:
            with self._database.reading() as database:
                accounts = database.execute(_PAGE, (last, PAGE_ROWS)).fetchall()
                if not accounts:
                    return
                first, last = accounts[0][0], accounts[-1][0]
                found = database.execute(_PASSWORDS_BETWEEN, (first, last)).fetchall()
            passwords = {login: [row[1:] for row in rows] for login, rows in groupby(found, itemgetter(0))}
            yield [(row, passwords.get(login, [])) for login, *row in accounts]

    def _account(self, row: Sequence[Any], passwords: Iterable[Sequence[Any]]) -> StoredAccount:
        """Raises StateError, and ValueError for what nobody has put in."""
        login, upstream, user, secret, salt, created, folder, on_delete, granted = row
        return StoredAccount(
            login,
            upstream,
            user,
            Secret(self._decrypt(secret)),
            base64.b64decode(salt),
            float(created),
            folder,
            OnDelete(on_delete) if on_delete else None,
            tuple(self._password(*password) for password in passwords),
            self._grant(granted),
        )

    def _grant(self, sealed: str) -> Grant | None:
        return grant_of(self._decrypt(sealed)) if sealed else None

    def _sealed(self, grant: Grant | None) -> str:
        return self._encrypt(grant_text(grant)) if grant else ""

    def _password(self, name: str, label: str, hashed: str, keys: str, *rest: Any) -> AppPassword:
        created, used, expires, read_only, folder, networks, on_delete = rest
        return AppPassword(
            name,
            label,
            key_of(name, self._decrypt(keys)),
            hashed,
            created,
            used,
            expires,
            bool(read_only),
            folder,
            tuple(networks.split()),
            OnDelete(on_delete) if on_delete else None,
        )

    def _add_password(self, database: Statements, login: str, password: AppPassword) -> None:
        keys = self._encrypt(key_text(password.key))
        row = (
            *(password.name, password.label, password.hashed, keys, password.created, password.used),
            *(password.expires, int(password.read_only), password.folder, " ".join(password.networks)),
            _said(password.on_delete),
        )
        readable = int(password.key.secret is not None)
        _insert(database, "app_password", "login, readable, " + _PASSWORD, (_key(login), readable, *row))


def _names(columns: str) -> list[str]:
    return columns.split(", ")


def _row(record: Mapping[str, Any], columns: str) -> list[Any]:
    """Raises KeyError, TypeError."""
    row = [record[name] for name in _names(columns)]
    for name, value in zip(_names(columns), row, strict=True):
        if isinstance(value, str) == (name in _NUMBERS):
            raise TypeError(name)
    return row


def _tokens(row: Sequence[Any], passwords: Iterable[Sequence[Any]]) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """What is encrypted, each with the statement that changes it and whose it is."""
    account = dict(zip(_names(_ACCOUNT), row, strict=True))
    login = _key(account["name"])
    for column in ("secret", "granted"):
        if account[column]:
            yield f"UPDATE account SET {column}=? WHERE login=? AND {column}=?", (login,), account[column]  # noqa: S608
    for each in passwords:
        password = dict(zip(_names(_PASSWORD), each, strict=True))
        update = "UPDATE app_password SET keys=? WHERE login=? AND name=? AND keys=?"
        yield update, (login, password["name"]), password["keys"]


def _insert(database: Statements, table: str, columns: str, row: tuple[Any, ...], otherwise: str = "") -> Rows:
    places = ", ".join("?" * len(row))
    return database.execute(f"INSERT INTO {table} ({columns}) VALUES ({places}){otherwise}", row)  # noqa: S608 - ours


def _said(on_delete: OnDelete | None) -> str:
    return on_delete.value if on_delete else ""


def _key(login: str) -> str:
    return one_spelling(login)


def _exists(database: Statements, login: str) -> bool:
    return database.execute("SELECT 1 FROM account WHERE login=?", (_key(login),)).fetchone() is not None


def _demand(database: Statements, login: str) -> None:
    if not _exists(database, login):
        raise NoSuchAccount(f"there is no account {login}; `account list` tells which there are")
