"""Maildirs, filled as an MTA does: no IMAP client sends every octet just as it is, nor as fast."""

import hashlib
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

_stamps = itertools.count(time.time_ns() // 1000)


def digest(user: str) -> str:
    """A name for this user's files, whatever characters the user's own name has."""
    return hashlib.sha256(user.encode()).hexdigest()


def drop(maildir: Path, octets: bytes, own: Callable[[str], None]) -> str:
    """Deliver a message, so that nobody sees half a file; returns its name.

    A server numbers messages by the time in their names. `own` gives the file to the server's user.
    """
    seconds, microseconds = divmod(next(_stamps), 1_000_000)
    name = f"{seconds}.M{microseconds:06d}P{os.getpid()}.test"
    path = f"{maildir}/tmp/{name}"
    with open(path, "wb") as file:
        file.write(octets)
    own(path)
    os.rename(path, f"{maildir}/new/{name}")
    return name
