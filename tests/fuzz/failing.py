"""Inputs that find a bug: whether they do, and a smaller one that finds the same."""

import traceback
from random import Random

from tests.fuzz import bugs
from tests.fuzz.targets import TARGETS, seed

SEEDS = range(8)  # of where packets end, and what else is random; what is replayed is tried with each
TRIES = 3000


def why(target: str, octets: bytes) -> Exception | None:
    """What it raises with any of the seeds; None: it is fine."""
    for number in (seed(octets), *SEEDS):
        try:
            TARGETS[target].run(octets, Random(number))
        except Exception as error:
            return error
    return None


def minimised(target: str, octets: bytes) -> bytes:
    """Without whatever is not needed for the same bug: halves first, then ever smaller parts."""
    kind, tries = _kind(why(target, octets)), TRIES
    size = len(octets) // 2
    while size:
        at = 0
        while at < len(octets) and tries:
            tries -= 1
            shorter = octets[:at] + octets[at + size :]
            if _kind(why(target, shorter)) == kind:
                octets = shorter
            else:
                at += size
        size //= 2
    return octets


def _kind(error: Exception | None) -> tuple[type[Exception] | None, int]:
    """Two errors of the same kind from the same line are one bug."""
    if error is None:
        return None, 0
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != bugs.__file__]
    return type(error), places[-1].lineno or 0
