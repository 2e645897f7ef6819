"""The exclusive-access lock of RFC 1939 section 4, held by the operating system.

A lock is flock(2) on a file of its own: it binds across processes, and ends with the process that holds it, so
that no crash leaves a maildrop locked. The file itself is removed with the lock; one that a crash leaves behind
is empty and locks nobody out.
"""

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path

from gateway.errors import MaildropInUse, StateError


class FileLocks:
    """Implements ports.Locks in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def lock(self, maildrop_key: str) -> "FileLock":
        # A hash: names may hold anything, and a folder's listing is not a list of customers.
        return FileLock(self._folder / hashlib.sha256(maildrop_key.encode()).hexdigest()[:32])


class FileLock:
    """Implements ports.MaildropLock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> None:
        try:
            while (file := self._try()) is None:
                pass
        except BlockingIOError:
            raise MaildropInUse from None
        except OSError as error:
            raise StateError(f"the maildrop cannot be locked: {error}") from error
        self._file = file

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()  # before the lock ends, or it would be the next holder's
            os.close(file)

    def _try(self) -> int | None:
        """The locked file, or None when its last holder removed it between our open and our lock."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        return None
