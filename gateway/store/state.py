"""Where everything is: in a folder of this machine, or in a database that machines share and a folder beside it.

Both states give the same rooms. What one machine can make again for itself stays in its folder: the listings, and
the certificate.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gateway.errors import SettingsError
from gateway.ports import Deadlines, Invitations, Ledger, LockMode, Locks, LoginDelay
from gateway.store.attendant import Attendant
from gateway.store.database import Database
from gateway.store.deadlines import FileDeadlines
from gateway.store.folder import StateFolder, default_folder
from gateway.store.invitations import StoredInvitations
from gateway.store.keys import Keys
from gateway.store.leases import Holder, LeasedLocks
from gateway.store.ledger import StoredLedger
from gateway.store.locks import FileLocks
from gateway.store.login_delay import FileLoginDelay, SharedLoginDelay
from gateway.store.schema import LEDGER, SESSIONS, VAULT, Schema
from gateway.store.shared_deadlines import SharedDeadlines
from gateway.store.sqlite import SqliteDatabase
from gateway.store.vault import StoredVault

LEDGER_FILE = "maildrops.sqlite3"
VAULT_FILE = "accounts.sqlite3"
LOGINS_FOLDER = "logins"
INSTALL = "pip install '.[postgresql]' in the source folder"


class State(Protocol):
    """Every method may raise StateError. What it gives is closed by close()."""

    folder: StateFolder
    is_shared: bool  # with other machines, and then a lock can be lost: see ports.MaildropLock.is_wanted
    writers: int  # threads that are worth having for the ledger

    def ledger(self) -> Ledger: ...

    def vault(self, open_keys: Callable[[bool], Keys]) -> StoredVault:
        """As StoredVault has it. Nothing is made before there is to be an account."""

    def invitations(self) -> Invitations:
        """Beside the accounts. Nothing is made before something is asked of it."""

    def locks(self, mode: LockMode = LockMode.EXCLUSIVE, patience: float = 0.0) -> Locks: ...

    def login_delay(self, seconds: float) -> LoginDelay: ...

    def deadlines(self, name: str, most: int) -> Deadlines:
        """About `most` of them, the latest."""

    def close(self) -> None:
        """Blocking, for a few seconds at most."""


def open_state(
    folder: Path | None, database: str | None = None, on_replaced: Callable[[str], None] = lambda _: None
) -> State:
    """`database` is a postgresql:// URL; `on_replaced` is told which file of ours somebody took away.

    Raises SettingsError, and StateError.
    """
    local = StateFolder(folder)
    return SharedState(local, database) if database else LocalState(local, on_replaced)


def has_accounts(folder: Path | None) -> bool:
    """Whether there have been any in it; nothing is made. Raises StateError."""
    return ((folder or default_folder()) / VAULT_FILE).exists()


def look_at(database: str) -> tuple[str, bool]:
    """What a shared state says of itself, and whether its tables are there; nothing is changed.

    Raises SettingsError, and StateError.
    """
    return _postgres(database)[2]()


def demand_readable(database: str | None) -> None:
    """Without connecting. Raises SettingsError."""
    if database:
        _postgres(database)


class LocalState:
    """Implements State in a folder."""

    is_shared = False
    writers = 2  # SQLite has one anyway

    def __init__(self, folder: StateFolder, on_replaced: Callable[[str], None]) -> None:
        self.folder = folder
        self._on_replaced = on_replaced
        self._opened: list[Database | FileDeadlines] = []

    def ledger(self) -> StoredLedger:
        return StoredLedger(self._open(LEDGER_FILE, LEDGER))

    def vault(self, open_keys: Callable[[bool], Keys]) -> StoredVault:
        file = self.folder.path / VAULT_FILE
        return StoredVault(lambda: self._open(VAULT_FILE, VAULT), file.exists, open_keys)

    def invitations(self) -> StoredInvitations:
        return StoredInvitations(lambda: self._open(VAULT_FILE, VAULT))

    def locks(self, mode: LockMode = LockMode.EXCLUSIVE, patience: float = 0.0) -> FileLocks:
        return FileLocks(self.folder.folder("locks"), mode, patience)

    def login_delay(self, seconds: float) -> FileLoginDelay:
        return FileLoginDelay(self.folder.path / LOGINS_FOLDER, seconds)

    def deadlines(self, name: str, most: int) -> FileDeadlines:
        file = self.folder.path / name
        kept = FileDeadlines(file, most, lambda: self._on_replaced(str(file)))
        self._opened.append(kept)
        return kept

    def close(self) -> None:
        for opened in self._opened:
            opened.close()

    def _open(self, name: str, schema: Schema) -> SqliteDatabase:
        file = self.folder.path / name
        database = SqliteDatabase(file, schema, lambda: self._on_replaced(str(file)))
        self._opened.append(database)
        return database


class SharedState:
    """Implements State in PostgreSQL, with a folder for what is this machine's own."""

    is_shared = True
    writers = 4  # there are few connections, and logins need one, too

    def __init__(self, folder: StateFolder, url: str) -> None:
        self.folder = folder
        self._open, self._close, _ = _postgres(url)
        try:
            self._ledger = StoredLedger(self._open(LEDGER))
            self._sessions = self._open(SESSIONS)
        except BaseException:
            self._close()
            raise
        self._attendant = Attendant()
        self._holder = Holder(self._sessions, self._attendant.call)
        self._attendant.add(self._holder.attend)

    def ledger(self) -> StoredLedger:
        return self._ledger

    def vault(self, open_keys: Callable[[bool], Keys]) -> StoredVault:
        return StoredVault(lambda: self._open(VAULT), lambda: True, open_keys)

    def invitations(self) -> StoredInvitations:
        return StoredInvitations(lambda: self._open(VAULT))

    def locks(self, mode: LockMode = LockMode.EXCLUSIVE, patience: float = 0.0) -> LeasedLocks:
        return LeasedLocks(self._holder, mode, patience)

    def login_delay(self, seconds: float) -> SharedLoginDelay:
        delay = SharedLoginDelay(self._sessions, seconds, self._attendant.call)
        self._attendant.add(delay.attend)
        return delay

    def deadlines(self, name: str, most: int) -> SharedDeadlines:
        return SharedDeadlines(self._sessions, name, most)

    def close(self) -> None:
        self._attendant.stop(self._holder.end)  # or our lease ends by itself
        self._close()


def _postgres(url: str) -> tuple[Callable[[Schema], Database], Callable[[], None], Callable[[], tuple[str, bool]]]:
    """How to open a part of the database, how to close all of it, and how to look at it."""
    try:
        from gateway.store.address import Address  # noqa: PLC0415 - psycopg is there for those who need it
        from gateway.store.postgres import Pool, PostgresDatabase  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(f"state: postgresql:// needs psycopg ({error}): {INSTALL}") from None
    pool = Pool(Address.of(url))
    return lambda schema: PostgresDatabase(pool, schema), pool.close, pool.look
