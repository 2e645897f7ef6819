"""Reading ahead: the next messages are fetched while the client takes the last ones."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import GatewayError, UpstreamSilent
from gateway.maildrop import ReadAhead, Window
from gateway.telemetry.events import Event, ReadAheadFailed

Fetch = Callable[[Window, int | None, dict[int, bytes]], Awaitable[None]]


class Pursuit:
    """Of one session. Whoever else wants the connection waits for settled(): it does one thing at a time."""

    def __init__(self, ahead: ReadAhead, fetch: Fetch, user: str, emit: Callable[[Event], None]) -> None:
        """`fetch` takes a window, a part, and where to put what comes by UID: it may fail, and some have come."""
        self._ahead = ahead
        self._fetch = fetch
        self._user = user
        self._emit = emit
        self._task: asyncio.Task[None] | None = None

    def at_hand(self, uid: int, part: int | None) -> bytes | None:
        """The message, where it is here already; and it is seen to that the next one will be."""
        self._ahead.asked(uid, part)
        held = self._ahead.take(uid, part)
        if held is not None and self._task is None and (window := self._ahead.next_window()):
            self._task = asyncio.create_task(self._run(window))
            self._task.add_done_callback(self._ended)
        return held

    async def fetch(self, uid: int, part: int | None) -> bytes | None:
        """The message that at_hand() had not, where it comes with others. Raises UpstreamSilent."""
        await self.settled()
        if (held := self._ahead.take(uid, part)) is not None:
            return held
        if self._ahead.is_next(uid):
            await self._run(self._ahead.next_window())
        return self._ahead.take(uid, part)

    async def settled(self) -> None:
        """Raises UpstreamSilent."""
        if (task := self._task) is not None:
            await asyncio.wait({task})
            task.result()

    async def stop(self, patience: float = 0.0) -> None:
        """No more of it is wanted. A window that ends within `patience` seconds leaves the connection well."""
        if (task := self._task) is not None:
            await asyncio.wait({task}, timeout=patience)
            task.cancel()
            await asyncio.wait({task})
        self._ahead.forget()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # who waited for it has it

    async def _run(self, window: Window) -> None:
        """What fails here is met again when the client asks for it; but no client waits twice for silence."""
        if not window:
            return
        began, failed = time.monotonic(), True
        came: dict[int, bytes] = {}
        try:
            await self._fetch(window, self._ahead.part, came)
            failed = False
        except UpstreamSilent:
            raise
        except GatewayError as error:
            self._emit(ReadAheadFailed(self._user, str(error)))
        finally:
            for uid, octets in came.items():
                self._ahead.put(uid, octets)
            self._ahead.settle(window, time.monotonic() - began, failed=failed)


@dataclass(frozen=True, slots=True)
class HeldBody:
    """Implements ports.Body for a message that is here whole."""

    octets: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.octets

    async def aclose(self) -> None:
        """There is nothing else of it."""
