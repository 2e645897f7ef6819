"""Every secret that a test uses is looked for in what a gateway leaves behind: its log, its state.

In clear, and in base64 wherever it may stand within something longer.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

# A shorter one may be a word, or a number.
LEAST_OCTETS = 8
# Whose business secrets are, in a form that nobody else can read, or that is nobody's but this machine's.
KEYS = frozenset({"vault.keys", "self-signed.pem"})

PREFIX = "secret-"  # of the passwords that the tests' mail servers know
_known: set[bytes] = set()


def note(secret: str) -> None:
    """From now on it is looked for."""
    octets = secret.encode()
    if len(octets) >= LEAST_OCTETS:
        _known.update((octets, *_encoded(octets)))


def find(octets: bytes) -> list[bytes]:
    return sorted(secret for secret in _known if secret in octets)


def find_in_folder(folder: Path) -> dict[str, list[bytes]]:
    """By the file's name."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in KEYS]
    found = {str(path.relative_to(folder)): find(path.read_bytes()) for path in files}
    return {name: secrets for name, secrets in found.items() if secrets}


def _encoded(octets: bytes) -> Iterator[bytes]:
    """What of it is certain, whatever stands before and behind: three octets are four characters."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + octets)
        whole = (before + len(octets)) * 8 // 6  # characters that depend on nothing behind
        yield text[-(-before * 8 // 6) : whole]


_known.update((PREFIX.encode(), *_encoded(PREFIX.encode())))
