"""One at a time for each name, within this process: a lock in the store is for others, and is asked for anew now
and then, where these waiters wake each other at once.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.errors import ProviderError


@dataclass(slots=True)
class _Gate:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0  # who is within, or waits


class Gates:
    """There are as many as somebody uses now."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._gates: dict[str, _Gate] = {}

    def __len__(self) -> int:
        return len(self._gates)

    @contextlib.contextmanager
    def alone(self, name: str, seconds: float) -> Iterator[None]:
        """Raises ProviderError where others were within for so long."""
        with self._guard:
            gate = self._gates.setdefault(name, _Gate())
            gate.users += 1
        try:
            if not gate.lock.acquire(timeout=seconds):
                raise ProviderError(f"others have waited for it for {seconds:.0f} s")
            try:
                yield
            finally:
                gate.lock.release()
        finally:
            with self._guard:
                gate.users -= 1
                if not gate.users:
                    del self._gates[name]
