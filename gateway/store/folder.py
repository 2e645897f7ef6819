"""The state folder: made if it is not there, and what is in it is nobody else's to read."""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import StateError

SYSTEM_FOLDER = Path("/var/lib/pop3-gateway")
ALONE_SECONDS = 10.0  # that another process may be alone here; it makes a certificate and some tables
LOOK_SECONDS = 0.02


class StateFolder:
    """`path` exists and is writable. Raises StateError with what to do about it.

    What we make is closed to others; a folder that is there already stays as its owner has it, but what we put
    into it is closed all the same.
    """

    def __init__(self, configured: Path | None) -> None:
        self.path = (configured or default_folder()).absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(self._explain(error.strerror)) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise StateError(self._explain("not writable"))

    def folder(self, name: str) -> Path:
        """A folder within."""
        inner = self.path / name
        try:
            make(inner)
        except OSError as error:
            raise StateError(self._explain(error.strerror)) from error
        return inner

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other process is here at the same time: for what must be made once. Raises StateError."""
        end = time.monotonic() + ALONE_SECONDS
        with contextlib.ExitStack() as held:
            try:
                # Who may open it may lock it, and keep us from starting.
                file = held.enter_context(open(self.path / "lock", "a", opener=_closed_to_others))
                give_to_owner(file.fileno(), self.path)
                while not _locked(file.fileno()):
                    if time.monotonic() >= end:
                        raise StateError(
                            self._explain(f"another gateway has been starting for {ALONE_SECONDS:.0f} s")
                        )
                    time.sleep(LOOK_SECONDS)
            except OSError as error:
                raise StateError(self._explain(error.strerror)) from error
            yield

    def _explain(self, why: str | None) -> str:
        return f"state folder {self.path}: {why}; give another with --state or the setting `state`"


def default_folder() -> Path:
    """The system's where we may write it (or make it, as root), the user's own otherwise. Raises StateError."""
    if os.access(SYSTEM_FOLDER if SYSTEM_FOLDER.exists() else SYSTEM_FOLDER.parent, os.W_OK):
        return SYSTEM_FOLDER
    try:
        own = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:
        raise StateError("no state folder: this user has no home; give one with --state") from None
    return Path(own) / "pop3-gateway"


def give_to_owner(file: Path | int, folder: Path) -> None:
    """Root may look after the state of a gateway that is another user: what it makes there is that user's, too.

    Raises OSError.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        if owner.st_uid != 0:
            os.chown(file, owner.st_uid, owner.st_gid)


def make(folder: Path) -> None:
    """With what is missing above it, all closed to others: somebody may remove the state while we run.

    Raises OSError.
    """
    if folder.is_dir():
        return
    if not folder.parent.exists():
        make(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    give_to_owner(folder, folder.parent)


def file_name(maildrop_key: str) -> str:
    """A hash: names may hold anything, and a folder's listing is not a list of customers.

    Ann and ann are one mailbox to most servers; where they are two, they only wait for each other.
    """
    return hashlib.sha256(maildrop_key.casefold().encode()).hexdigest()[:32]


def _closed_to_others(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
