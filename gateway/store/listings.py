"""Listings between logins: a file for each maildrop, which may be lost or damaged without harm.

UIDs and sizes stand in it as they stand in memory, twelve octets a message: 100,000 messages are read in half a
millisecond, where inflating them would take five. Nothing is synced to the disk: a file that a power cut has torn
does not have its checksum, and then nothing is known. Processes need no lock: a file is written beside and put in
place at once, and whichever listing comes last is right, because each was right when it was taken.
"""

import contextlib
import hashlib
import os
import struct
import sys
import tempfile
import time
import zlib
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from gateway.errors import StateError
from gateway.maildrop import Listing
from gateway.maildrop.listing import BELIEVED_SECONDS, DATE_OCTETS, GONE_RANGES, MOST_MESSAGES
from gateway.store.folder import make

# The format and its number, the byte order of the numbers, CRC-32 of all that follows.
_SEAL = struct.Struct("<7scI")
_MAGIC = b"LISTIN1"
_ORDER = sys.byteorder[:1].encode()  # l or b
# The maildrop's digest, UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, when the mailbox was listed whole, the last message's
# date, and how many messages and ranges follow: all UIDs, all sizes, then the ranges that are gone.
_HEADER = struct.Struct("<32sIQQd40pII")
_HEAD = _SEAL.size + _HEADER.size
_MESSAGE_OCTETS, _RANGE_OCTETS = 12, 8
MOST_OCTETS = _HEAD + MOST_MESSAGES * _MESSAGE_OCTETS + GONE_RANGES * _RANGE_OCTETS

SWEEP_SECONDS = 3600.0  # from one sweep of a folder to the next
SWEEP_FILES = 20_000  # at most, that one sweep looks at


class FileListings:
    """Implements ports.Listings in a folder. Any thread may call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._swept: dict[str, float] = {}

    def recall(self, maildrop_key: str) -> Listing | None:
        digest, path = self._place(maildrop_key)
        try:
            octets = _read(path)
            return _decoded(digest, octets) if octets else None
        except ValueError:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        except OSError:
            return None

    def keep(self, maildrop_key: str, listing: Listing) -> None:
        digest, path = self._place(maildrop_key)
        octets = _encoded(digest, listing)
        with _explained(path):
            if len(octets) > MOST_OCTETS:
                path.unlink(missing_ok=True)
                return
            try:
                _replace(path, octets)
            except FileNotFoundError:
                make(path.parent)
                _replace(path, octets)
        self._sweep(path.parent)

    def forget(self, maildrop_key: str) -> None:
        path = self._place(maildrop_key)[1]
        with _explained(path):
            path.unlink(missing_ok=True)

    def _place(self, maildrop_key: str) -> tuple[bytes, Path]:
        """The digest that stands in the file, and the file: in one of 256 folders, for there may be a million."""
        digest = hashlib.sha256(maildrop_key.encode())
        name = digest.hexdigest()
        return digest.digest(), self._folder / name[:2] / name[2:32]

    def _sweep(self, folder: Path) -> None:
        """Remove what is too old to be believed, where something is written: what does not grow is left alone."""
        now = time.time()
        if now - self._swept.get(folder.name, 0.0) < SWEEP_SECONDS:
            return
        self._swept[folder.name] = now
        with contextlib.suppress(OSError), os.scandir(folder) as found:
            for file in islice(found, SWEEP_FILES):
                with contextlib.suppress(OSError):  # another process sweeps, too
                    if now - file.stat(follow_symlinks=False).st_mtime > BELIEVED_SECONDS:
                        Path(file).unlink()


def _read(path: Path) -> bytes:
    """The file; b"" if there is none. Raises ValueError if it cannot be ours."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        known = os.fstat(file)
        if not _HEAD <= known.st_size <= MOST_OCTETS:
            raise ValueError
        return os.read(file, known.st_size)
    finally:
        os.close(file)


def _replace(path: Path, octets: bytes) -> None:
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # 0600
    beside = Path(name)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(octets)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _encoded(digest: bytes, listing: Listing) -> bytes:
    gone = array("I", (uid for pair in listing.gone for uid in pair))
    header = _HEADER.pack(
        digest,
        listing.uidvalidity,
        listing.uidnext,
        listing.highestmodseq,
        listing.looked,
        listing.date if len(listing.date) <= DATE_OCTETS else b"",
        len(listing.uids),
        len(listing.gone),
    )
    body = b"".join((header, listing.uids.tobytes(), listing.sizes.tobytes(), gone.tobytes()))
    return _SEAL.pack(_MAGIC, _ORDER, zlib.crc32(body)) + body


def _decoded(digest: bytes, octets: bytes) -> Listing:
    """Raises ValueError for what was not written by _encoded, for this maildrop."""
    view = memoryview(octets)
    magic, order, checksum = _SEAL.unpack_from(view)
    if (magic, order) != (_MAGIC, _ORDER) or zlib.crc32(view[_SEAL.size :]) != checksum:
        raise ValueError
    owner, *numbers, messages, ranges = _HEADER.unpack_from(view, _SEAL.size)
    if owner != digest or len(octets) != _HEAD + messages * _MESSAGE_OCTETS + ranges * _RANGE_OCTETS:
        raise ValueError
    columns, at = (array("I"), array("Q"), array("I")), _HEAD
    for column, count in zip(columns, (messages, messages, 2 * ranges), strict=True):
        end = at + count * column.itemsize
        column.frombytes(view[at:end])
        at = end
    uids, sizes, gone = columns
    uidvalidity, uidnext, highestmodseq, looked, date = numbers
    pairs = tuple(zip(gone[::2], gone[1::2], strict=True))
    return Listing(uidvalidity, uidnext, uids, sizes, highestmodseq, looked, date, pairs)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(f"listing {path}: {error}") from error
