"""The corpus: an input a file, in a folder for each target, named for what it is."""

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
FAILED = "failed-"  # what begins so once found a bug


def names(target: str) -> list[str]:
    return sorted(path.name for path in (FOLDER / target).iterdir())


def read(target: str, name: str) -> bytes:
    return (FOLDER / target / name).read_bytes()


def keep(target: str, name: str, octets: bytes) -> Path:
    path = FOLDER / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)
    return path


def keep_failed(target: str, octets: bytes) -> Path:
    """To be given a better name by whoever looks at it."""
    return keep(target, FAILED + hashlib.sha256(octets).hexdigest()[:12], octets)
