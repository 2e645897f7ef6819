"""The exclusive-access lock of RFC 1939 section 4, held by the operating system.

A lock is flock(2) on a file of its own: it binds across processes, and ends with the process that holds it, so
that no crash leaves a maildrop locked. The file itself is removed with the lock; one that a crash leaves behind
is empty and locks nobody out.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

from gateway.errors import MaildropInUse, StateError
from gateway.ports import LockMode, MaildropLock
from gateway.store.folder import file_name, give_to_owner, make

TAKEOVER_SECONDS = 5.0  # for the other session to notice and end
LOOK_SECONDS = 0.1


class FileLocks:
    """Implements ports.Locks in a folder."""

    def __init__(self, folder: Path, mode: LockMode = LockMode.EXCLUSIVE, patience: float = 0.0) -> None:
        """`patience`: seconds to wait for a lock that is held, because sessions do end just then."""
        self._folder = folder
        self._kind = _KINDS[mode]
        self._patience = patience

    def lock(self, maildrop_key: str) -> MaildropLock:
        return self._kind(self._folder / file_name(maildrop_key), self._patience)


class FileLock:
    """Implements ports.MaildropLock."""

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._file: int | None = None

    @property
    def is_wanted(self) -> bool:
        return False

    def acquire(self) -> None:
        end = time.monotonic() + self._patience
        while (file := self._try()) is None:
            if time.monotonic() >= end:
                raise MaildropInUse
            self._ask()
            time.sleep(LOOK_SECONDS)
        self._file = file

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()  # before the lock ends, or it would be the next holder's
            os.close(file)

    def _ask(self) -> None:
        """Somebody else has it: nothing to be done but wait."""

    def _try(self) -> int | None:
        """The locked file, or None while another session holds it. Raises StateError."""
        try:
            file = self._open_and_lock()
            while not os.fstat(file).st_nlink:  # its last holder removed it between our open and our lock
                os.close(file)
                file = self._open_and_lock()
            return file
        except BlockingIOError:
            return None
        except OSError as error:
            raise StateError(f"the maildrop cannot be locked: {error}") from error

    def _open_and_lock(self) -> int:
        make(self._path.parent)  # cleaners of old files remove it
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            give_to_owner(file, self._path.parent)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(file)
            raise
        return file


class TakeoverLock(FileLock):
    """A second session leaves a note beside the lock; the holder's process looks for it, and ends the first."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__(path, max(patience, TAKEOVER_SECONDS))
        self._note = path.with_suffix(".wanted")

    @property
    def is_wanted(self) -> bool:
        return self._file is not None and self._note.exists()

    def acquire(self) -> None:
        try:
            super().acquire()
        finally:
            with contextlib.suppress(OSError):
                self._note.unlink(missing_ok=True)

    def _ask(self) -> None:
        with contextlib.suppress(OSError):
            self._note.touch(mode=0o600)


class NoLock(FileLock):
    """Sessions side by side, each with its own snapshot."""

    def acquire(self) -> None:
        pass


_KINDS: dict[LockMode, type[FileLock]] = {
    LockMode.EXCLUSIVE: FileLock,
    LockMode.TAKEOVER: TakeoverLock,
    LockMode.SHARED: NoLock,
}
