"""The operator's minimum time between two logins of a user (RFC 2449 section 6.5)."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.errors import LoggedInTooRecently


class LoginDelay:
    """Implements ports.LoginDelay. Remembers each maildrop's last login for as long as it matters."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = int(seconds)
        self._clock = clock
        self._last: OrderedDict[str, float] = OrderedDict()  # the oldest first
        self._guard = threading.Lock()

    def admit(self, maildrop_key: str) -> None:
        """From any thread, after the password was found right. Raises LoggedInTooRecently."""
        with self._guard:
            self._forget_old()
            if maildrop_key.casefold() in self._last:
                raise LoggedInTooRecently

    def logged_in(self, maildrop_key: str) -> None:
        """The time counts from the +OK (RFC 2449 section 6.5)."""
        with self._guard:
            self._last[maildrop_key.casefold()] = self._clock()
            self._last.move_to_end(maildrop_key.casefold())

    def _forget_old(self) -> None:
        old = self._clock() - self.seconds
        while self._last and next(iter(self._last.values())) <= old:
            self._last.popitem(last=False)
