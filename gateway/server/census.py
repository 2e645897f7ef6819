"""How many connections each address has: in this process, or in all workers together."""

import hashlib
import mmap
import os
from collections import Counter
from typing import Protocol

SLOTS = 65_536  # two octets of a hash
TABLES = 2
CELL_OCTETS = 4


class Census(Protocol):
    """Counts by site: an address, or a customer's whole network."""

    def of(self, site: str) -> int: ...

    def add(self, site: str) -> None: ...

    def remove(self, site: str) -> None: ...


class OwnCensus:
    """Implements Census for a gateway of one process."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def of(self, site: str) -> int:
        return self._counts[site]

    def add(self, site: str) -> None:
        self._counts[site] += 1

    def remove(self, site: str) -> None:
        self._counts[site] -= 1
        if not self._counts[site]:
            del self._counts[site]


class SharedCensus:
    """A page for each worker, in memory that processes forked from here share. Workers are numbered from 1.

    Nothing is locked, so that a worker which dies at any point leaves nothing behind but its page, and that is
    wiped: each worker writes its own page alone, reads those of all, and adds up. Two workers that admit a client
    at the same instant may both take the last place: a limit is exact to within one for each worker.

    A page is a count-min sketch: each table counts under another hash, and the smaller count is the nearer one.
    It is too large only where other sites share both slots: with 2,000 of them connected, for one in a thousand.
    """

    def __init__(self, workers: int) -> None:
        self._memory = memoryview(mmap.mmap(-1, workers * TABLES * SLOTS * CELL_OCTETS)).cast("I")
        self._key = os.urandom(16)  # or strangers could look for addresses that share a customer's slots
        self.pages = range(1, workers + 1)

    def page(self, worker: int) -> "CensusPage":
        return CensusPage(self, worker)

    def wipe(self, worker: int) -> None:
        """Its connections ended with it."""
        start, size = self._start(worker), TABLES * SLOTS
        self._memory[start : start + size] = memoryview(bytes(size * CELL_OCTETS)).cast("I")

    def total(self, site: str) -> int:
        slots = self._slots(site)
        return min(sum(self._memory[self._start(page) + slot] for page in self.pages) for slot in slots)

    def change(self, worker: int, site: str, by: int) -> None:
        for slot in self._slots(site):
            self._memory[self._start(worker) + slot] += by

    def _slots(self, site: str) -> tuple[int, int]:
        """One in each table."""
        digest = hashlib.blake2b(site.encode(), digest_size=4, key=self._key).digest()
        return int.from_bytes(digest[:2]), SLOTS + int.from_bytes(digest[2:])

    @staticmethod
    def _start(worker: int) -> int:
        return (worker - 1) * TABLES * SLOTS


class CensusPage:
    """Implements Census for one worker."""

    def __init__(self, shared: SharedCensus, worker: int) -> None:
        self._shared = shared
        self._worker = worker

    def of(self, site: str) -> int:
        return self._shared.total(site)

    def add(self, site: str) -> None:
        self._shared.change(self._worker, site, 1)

    def remove(self, site: str) -> None:
        self._shared.change(self._worker, site, -1)
