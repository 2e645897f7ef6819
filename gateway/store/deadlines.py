"""Deadlines in a file of fixed size: a table of keyed hashes and times that many processes read and write.

A reader takes one small piece of it, from the system's memory and without a lock: every login asks. A writer has
the file to itself. However many keys strangers make up, the file is no larger: a new one takes the place of the
one in its bucket that is due first, and nobody can choose his bucket: the hash's key is drawn with the file.

Nothing is synced: what a crash of the whole machine loses is only forgotten sooner.
"""

import contextlib
import fcntl
import hashlib
import math
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StateError
from gateway.store.folder import make

_MAGIC = b"pop3-gateway deadlines 1\n".ljust(32, b"\0")
_KEY_OCTETS = 32
_HEADER_OCTETS = 128  # so that no bucket lies across two pages
_DIGEST_OCTETS = 8
_TIME = struct.Struct("<d")
_HASHED = struct.Struct(f"<{_DIGEST_OCTETS}sQ")
_SLOT_OCTETS = _DIGEST_OCTETS + _TIME.size
_BUCKET_SLOTS = 8
_BUCKET_OCTETS = _BUCKET_SLOTS * _SLOT_OCTETS
BUSY_SECONDS = 2.0  # to wait for another writer, who needs microseconds
LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class _File:
    """An open one; its descriptor is closed with the table, for others may be reading."""

    descriptor: int
    key: bytes
    identity: tuple[int, int]


class FileDeadlines:
    """Implements ports.Deadlines. From any thread, in any number of processes."""

    def __init__(self, path: Path, most: int, on_replaced: Callable[[], None] = lambda: None) -> None:
        """About `most` keys, of 16 octets each. `on_replaced` is told when the file was lost or damaged."""
        self._path = path
        self._buckets = max(math.ceil(most / _BUCKET_SLOTS), 1)
        self._on_replaced = on_replaced
        self._guard = threading.Lock()
        self._opened: list[_File] = []  # the last one is in use
        with self._explained(), self._alone():
            pass  # it is there, and open

    def at_hand(self, keys: Sequence[str]) -> Sequence[float]:
        return self.recall(keys)

    def recall(self, keys: Sequence[str]) -> Sequence[float]:
        try:
            file = self._opened[-1]
            return [self._time(file, key) for key in keys]
        except OSError as error:
            raise self._explain(error) from error

    def revise(self, keys: Sequence[str], change: Callable[[Sequence[float]], Sequence[float]]) -> None:
        with self._explained(), self._alone() as file:
            before = [self._time(file, key) for key in keys]
            for key, old, new in zip(keys, before, change(before), strict=True):
                if new != old:
                    place, digest = self._place(file, key)
                    os.pwrite(file.descriptor, digest + _TIME.pack(new), place)

    def close(self) -> None:
        with self._guard:
            while self._opened:
                os.close(self._opened.pop().descriptor)

    def _time(self, file: _File, key: str) -> float:
        digest, start = self._digest(file, key)
        bucket = self._bucket(file, start)
        found = bucket.find(digest)
        while found % _SLOT_OCTETS:  # not where one begins; -1 is no multiple either
            if found < 0:
                return 0.0
            found = bucket.find(digest, found + 1)
        (when,) = _TIME.unpack_from(bucket, found + _DIGEST_OCTETS)
        return when if math.isfinite(when) else 0.0

    def _place(self, file: _File, key: str) -> tuple[int, bytes]:
        """Where the key is, or instead of which other one it is to be; and what stands for it."""
        digest, start = self._digest(file, key)
        bucket = self._bucket(file, start)

        def worth(slot: int) -> float:
            (when,) = _TIME.unpack_from(bucket, slot + _DIGEST_OCTETS)
            return when if math.isfinite(when) else 0.0

        slots = range(0, _BUCKET_OCTETS, _SLOT_OCTETS)
        own = [slot for slot in slots if bucket.startswith(digest, slot)]
        return start + (own[0] if own else min(slots, key=worth)), digest

    @staticmethod
    def _bucket(file: _File, start: int) -> bytes:
        """Whole, even where somebody has cut the file."""
        return os.pread(file.descriptor, _BUCKET_OCTETS, start).ljust(_BUCKET_OCTETS, b"\0")

    def _digest(self, file: _File, key: str) -> tuple[bytes, int]:
        """What stands for the key, and where its bucket begins."""
        hashed = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16, key=file.key).digest()
        digest, number = _HASHED.unpack(hashed)
        return digest, _HEADER_OCTETS + number % self._buckets * _BUCKET_OCTETS

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explain(error) from error

    def _explain(self, error: OSError) -> StateError:
        return StateError(f"state file {self._path}: {error.strerror}")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[_File]:
        """Nobody else writes meanwhile. The file is opened, or made, where it is not the one that was open."""
        with self._guard:
            while True:
                file = self._current()
                with _locked(file.descriptor, self._path):
                    if self._identify() == file.identity:  # and not replaced while we waited
                        yield file
                        return

    def _current(self) -> _File:
        """What is there now. Whatever is no table of ours is replaced by an empty one."""
        identity = self._identify()
        if self._opened and self._opened[-1].identity == identity:
            return self._opened[-1]
        file = self._open()
        if file is None:
            if self._opened or identity is not None:
                self._on_replaced()
            self._path.unlink(missing_ok=True)
            self._create()
            file = self._open()
        if file is None:
            raise StateError(f"state file {self._path}: replaced again and again")
        self._opened.append(file)
        return file

    def _identify(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _open(self) -> _File | None:
        """None where there is none, or it is damaged or of another size."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        found = os.fstat(descriptor)
        header = os.pread(descriptor, _HEADER_OCTETS, 0)
        if not header.startswith(_MAGIC) or found.st_size != self._size:
            os.close(descriptor)
            return None
        key = header[len(_MAGIC) : len(_MAGIC) + _KEY_OCTETS]
        return _File(descriptor, key, (found.st_dev, found.st_ino))

    def _create(self) -> None:
        """All of it appears at once: another process may do the same."""
        make(self._path.parent)
        new = self._path.with_name(f"{self._path.name}.{os.urandom(8).hex()}")
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, _MAGIC + os.urandom(_KEY_OCTETS), 0)
            os.ftruncate(descriptor, self._size)  # with holes: a small gateway's table takes a few pages
            with contextlib.suppress(FileExistsError):  # who was quicker has made it
                os.link(new, self._path)
        finally:
            os.close(descriptor)
            new.unlink()

    @property
    def _size(self) -> int:
        return _HEADER_OCTETS + self._buckets * _BUCKET_OCTETS


@contextlib.contextmanager
def _locked(descriptor: int, path: Path) -> Iterator[None]:
    """Of the system, which frees it when a process dies."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise StateError(f"state file {path}: busy for {BUSY_SECONDS:.0f} s") from None
            time.sleep(LOOK_SECONDS)
        else:
            break
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
