"""The operator's minimum time between two logins of a user (RFC 2449 section 6.5).

A maildrop's last login is the time of an empty file of its own: it counts for every process that shares the
folder, and a restart of the gateway does not undo it.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from gateway.errors import LoggedInTooRecently, StateError
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
        with contextlib.suppress(
            OSError
        ):  # the user is in: a full disk costs the operator the delay, not the login
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
