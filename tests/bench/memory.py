"""Resident memory of a process group: the sum of PSS, in which what processes share is counted once."""

import threading
import time
from contextlib import suppress
from types import TracebackType

from tests.servers.machine import processes

INTERVAL_SECONDS = 0.02
GROUP_SECONDS = 0.2  # how often new processes are looked for


def pss(pids: set[int]) -> int:
    """kB; a process that ended meanwhile counts for nothing."""
    total = 0
    for pid in pids:
        with suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total


def now(group: int) -> int:
    """kB of all processes of the group."""
    return pss(processes(group))


class Peak:
    """Samples a group while the block runs; `kilobytes` is the most it saw.

    To sample takes a share of the machine, so times are never taken within.
    """

    def __init__(self, group: int) -> None:
        self.kilobytes = 0
        self._group = group
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory")

    def __enter__(self) -> "Peak":
        self._sample(processes(self._group))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._sample(processes(self._group))

    def _run(self) -> None:
        pids, looked = processes(self._group), time.monotonic()
        while not self._over.wait(INTERVAL_SECONDS):
            if time.monotonic() - looked > GROUP_SECONDS:
                pids, looked = processes(self._group), time.monotonic()
            self._sample(pids)

    def _sample(self, pids: set[int]) -> None:
        self.kilobytes = max(self.kilobytes, pss(pids))
