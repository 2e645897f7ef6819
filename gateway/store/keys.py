"""The keys that encrypt upstream secrets: Fernet's, the first one for what is written, all for what is read."""

import contextlib
import hmac
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from gateway.errors import KeysUnusable, StateError
from gateway.store.folder import give_to_owner

ENVIRONMENT = "POP3_GATEWAY_ACCOUNTS_KEYS"


class Keys:
    """Raises StateError, and never says what a secret was."""

    def __init__(self, keys: Sequence[str], source: str) -> None:
        self._source = source
        if not keys:
            raise KeysUnusable(f"{source} holds no key; it takes one on each line, the newest first")
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise KeysUnusable(
                f"{source}: a key is 32 octets in URL-safe base64, as `vault rotate` makes them"
            ) from error
        self._oldest = keys[-1].encode()

    @classmethod
    def of(cls, given: str | None, file: Path, *, may_be_new: bool) -> "Keys":
        """From the environment, separated by commas, or from the file.

        Where that is missing it is made, but not if there are secrets already that it could not read.
        """
        if given:
            return cls([key.strip() for key in given.split(",") if key.strip()], ENVIRONMENT)
        if not may_be_new and not file.exists():
            raise KeysUnusable(
                f"there are secrets of accounts, and no keys to read them with: bring {file} back, or copy it from"
                " where the accounts were made (accounts.key_file, accounts.keys)"
            )
        return cls(read_or_make(file), str(file))

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def decrypt(self, token: str) -> str:
        try:
            return self._fernet.decrypt(token).decode()
        except InvalidToken:
            raise KeysUnusable(
                f"a secret was encrypted with another key than those of {self._source}: restore that key as a"
                " further line of it"
            ) from None

    def decrypt_fresh(self, token: str, seconds: float) -> str:
        """What was encrypted no longer ago. Raises InvalidToken."""
        return self._fernet.decrypt(token.encode("ascii"), int(seconds)).decode()

    def again(self, token: str) -> str:
        """Encrypted with the first key."""
        return self.encrypt(self.decrypt(token))

    def stand_in(self, text: str) -> bytes:
        """32 octets that nobody can foresee, the same for a text as long as the last key is the last."""
        return hmac.digest(self._oldest, text.encode(), "sha256")


class KeyFile:
    """Keys.of() again and again: the file is read only where it has changed. That is asked for each cookie that is
    none of ours, in the event loop, and a look at a file's date is cheap.
    """

    def __init__(self, given: str | None, file: Path) -> None:
        self._given = given
        self._file = file
        self._known: tuple[_Stamp, Keys] | None = None

    def keys(self, may_be_new: bool) -> Keys:
        """As Keys.of()."""
        stamp = _stamp(self._file)  # before it is read: what changes in between is read next time
        known = self._known
        if known is not None and known[0] == stamp:
            return known[1]
        keys = Keys.of(self._given, self._file, may_be_new=may_be_new)
        if stamp is not None or self._given:
            self._known = stamp, keys
        return keys


_Stamp = tuple[int, ...] | None  # of a file as it is; None: it is not there


def _stamp(file: Path) -> _Stamp:
    """Opened for it: of a file that another machine has replaced NFS may tell only then."""
    try:
        with file.open("rb", buffering=0) as opened:
            found = os.fstat(opened.fileno())
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_or_make(file: Path) -> list[str]:
    """The file's lines. Without a file it is made, with one key, and closed to others. Raises StateError."""
    if not file.exists():
        _write(file, [_new_key()], os.link)  # which leaves alone what another process made meanwhile
    return _read(file)


def add_key(file: Path) -> None:
    """A new key before those that are there: to be called by one process at a time. Raises StateError."""
    if not file.exists():
        raise StateError(
            f"there are no keys in {file}: the first account makes them; where there are accounts already, "
            "bring the file back (accounts.key_file, accounts.keys)"
        )
    _write(file, [_new_key(), *_read(file)], os.replace)


def _new_key() -> str:
    return Fernet.generate_key().decode("ascii")


def _read(file: Path) -> list[str]:
    try:
        return file.read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnusable(f"{file} cannot be read: {error}") from error


def _write(file: Path, keys: Sequence[str], put: Callable[[str, Path], None]) -> None:
    """Durably and whole, or not at all: what is encrypted next is worth nothing without."""
    try:
        descriptor, draft = tempfile.mkstemp(prefix=file.name, dir=file.parent)  # closed to others
        try:
            with os.fdopen(descriptor, "w") as out:
                give_to_owner(descriptor, file.parent)
                out.write("".join(f"{key}\n" for key in keys))
                out.flush()
                os.fsync(out.fileno())
            with contextlib.suppress(FileExistsError):
                put(draft, file)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(draft).unlink()
        _make_durable(file.parent)
    except OSError as error:
        raise StateError(f"{file} cannot be written: {error.strerror}") from error


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
