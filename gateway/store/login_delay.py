"""The operator's minimum time between two logins of a user (RFC 2449 section 6.5).

A maildrop's last login is the time of an empty file of its own: it counts for every process that shares the
folder, and a restart of the gateway does not undo it. Where machines share a database it is a row there, and the
time is the database's.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.errors import LoggedInTooRecently, StateError
from gateway.store.database import Database
from gateway.store.folder import file_name, make

SWEEP_SECONDS = 600.0  # between two removals of files that do not matter any more


class FileLoginDelay:
    """Implements ports.LoginDelay in a folder. Without a delay it touches nothing."""

    def __init__(self, folder: Path, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self.seconds = int(seconds)
        self._folder = folder
        self._clock = clock
        self._swept = clock()

    def admit(self, maildrop_key: str) -> None:
        """From any thread, after the password was found right. Raises LoggedInTooRecently, and StateError."""
        if not self.seconds:
            return
        now = self._clock()
        self._sweep(now)
        try:
            last = (self._folder / file_name(maildrop_key)).stat().st_mtime
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateError(f"the last login cannot be looked up: {error}") from error
        if 0 <= now - last < self.seconds:  # a clock that was set back keeps nobody out
            raise LoggedInTooRecently

    def logged_in(self, maildrop_key: str) -> None:
        """The time counts from the +OK (RFC 2449 section 6.5)."""
        if not self.seconds:
            return
        now = self._clock()
        path = self._folder / file_name(maildrop_key)
        with contextlib.suppress(OSError):  # a full disk costs the operator the delay, not the user the login
            make(self._folder)
            path.touch(mode=0o600)
            os.utime(path, (now, now))

    def _sweep(self, now: float) -> None:
        if now - self._swept < SWEEP_SECONDS:
            return
        self._swept = now
        with contextlib.suppress(OSError), os.scandir(self._folder) as files:
            for file in files:
                if now - file.stat().st_mtime >= self.seconds:
                    Path(file).unlink(missing_ok=True)


class SharedLoginDelay:
    """Implements ports.LoginDelay in a database with the tables of schema.SESSIONS."""

    def __init__(self, database: Database, seconds: float, call: Callable[[], None]) -> None:
        """`call` says that there is something for attend(), and does not wait for it."""
        self.seconds = int(seconds)
        self._database = database
        self._call = call
        self._guard = threading.Lock()
        self._logged_in: set[str] = set()  # and not yet written
        self._swept = time.monotonic()

    def admit(self, maildrop_key: str) -> None:
        """From any thread, after the password was found right. Raises LoggedInTooRecently, and StateError."""
        if not self.seconds:
            return
        name = file_name(maildrop_key)
        with self._database.reading() as database:
            row = database.execute(_FIND_LOGIN, (name, self.seconds)).fetchone()
        if row is not None or name in self._logged_in:
            raise LoggedInTooRecently

    def logged_in(self, maildrop_key: str) -> None:
        """The time counts from the +OK (RFC 2449 section 6.5), and the event loop waits for no database."""
        if self.seconds:
            with self._guard:
                self._logged_in.add(file_name(maildrop_key))
            self._call()

    def attend(self) -> None:
        """To be called every now and then, and soon after logged_in(). Blocking; raises StateError."""
        with self._guard:
            names = sorted(self._logged_in)
        if names:
            with self._database.writing() as database:
                database.execute_for(_NOTE_LOGINS, [(name,) for name in names])
            with self._guard:
                self._logged_in.difference_update(names)
        now = time.monotonic()
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            with self._database.writing() as database:
                database.execute(_FORGET_LOGINS, (self.seconds,))


_FIND_LOGIN = "SELECT 1 FROM login WHERE maildrop=? AND moment > clock_timestamp() - make_interval(secs => ?)"
_FORGET_LOGINS = "DELETE FROM login WHERE moment <= clock_timestamp() - make_interval(secs => ?)"
_NOTE_LOGINS = (
    "INSERT INTO login (maildrop, moment) SELECT given.*, clock_timestamp() FROM ({rows}) AS given"
    " ON CONFLICT (maildrop) DO UPDATE SET moment=excluded.moment"
)
