"""A thread for what no session waits for: at once when it is called, and every now and then."""

import contextlib
import threading
from collections.abc import Callable

from gateway.errors import StateError

LOOK_SECONDS = 0.5
LEAVE_SECONDS = 3.0  # for what is under way at the end


class Attendant:
    """What a duty cannot do now is left for the next look. Any thread may call; nothing here waits but stop()."""

    def __init__(self) -> None:
        self._duties: list[Callable[[], None]] = []
        self._called = threading.Event()
        self._last: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._attend, name="attendant", daemon=True)

        self._thread.start()

    def add(self, duty: Callable[[], None]) -> None:
        self._duties.append(duty)

    def call(self) -> None:
        self._called.set()

    def stop(self, last: Callable[[], None]) -> None:
        """After one `last` duty."""
        self._last = last
        self._called.set()
        self._thread.join(LEAVE_SECONDS)

    def _attend(self) -> None:
        while self._last is None:
            self._called.wait(LOOK_SECONDS)
            self._called.clear()
            for duty in tuple(self._duties):
                _try(duty)
        _try(self._last)


def _try(duty: Callable[[], None]) -> None:
    with contextlib.suppress(StateError):
        duty()
