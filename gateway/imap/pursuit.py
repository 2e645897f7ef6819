"""Reading ahead: the next messages are fetched while the client takes the last ones."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import GatewayError, UpstreamSilent
from gateway.imap.batch import Put
from gateway.maildrop import ReadAhead, Window
from gateway.telemetry.events import Event, ReadAheadFailed

Fetch = Callable[[Window, int | None, Put], Awaitable[None]]


class Pursuit:
    """Of one session. Whoever else wants the connection waits for settled(): it does one thing at a time."""

    def __init__(self, ahead: ReadAhead, fetch: Fetch, user: str, emit: Callable[[Event], None]) -> None:
        """`fetch` takes a window, a part, and what to do, in the event loop, with each message that comes: it may
        fail, and some have come.
        """
        self._ahead = ahead
        self._fetch = fetch
        self._user = user
        self._emit = emit
        self._task: asyncio.Task[None] | None = None
        self._awaited: tuple[int, asyncio.Future[None]] | None = None  # a UID, and who waits for it

    def at_hand(self, uid: int, part: int | None) -> bytes | None:
        """The message, where it is here already; and it is seen to that the next one will be."""
        self._ahead.asked(uid, part)
        held = self._ahead.take(uid, part)
        if held is not None and self._task is None:
            self._begin(self._ahead.next_window())
        return held

    def peek(self, uid: int) -> bytes | None:
        """A whole message that at_hand() would hand out."""
        return self._ahead.peek(uid)

    async def fetch(self, uid: int, part: int | None) -> bytes | None:
        """The message that at_hand() had not, where it comes with others. Raises UpstreamSilent."""
        if not self._ahead.expects(uid):
            await self.settled()
            if self._ahead.is_next(uid):
                self._begin(self._ahead.next_window())
        if (task := self._task) is not None and self._ahead.expects(uid):
            await self._wait_for(uid, task)
            if task.done():
                task.result()
        held = self._ahead.take(uid, part)
        if held is None:  # it is to be fetched alone
            await self.settled()
        return held

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

    def _begin(self, window: Window) -> None:
        if window:
            self._task = asyncio.create_task(self._run(window))
            self._task.add_done_callback(self._ended)

    def _put(self, uid: int, octets: bytes) -> None:
        self._ahead.put(uid, octets)
        if self._awaited is not None and self._awaited[0] == uid:
            _wake(self._awaited[1])

    async def _wait_for(self, uid: int, end: asyncio.Task[None]) -> None:
        """Until this one has come, or the end: that of who puts them here."""
        if not self._ahead.holds(uid):
            come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._awaited = uid, come
            await asyncio.wait({come, end}, return_when=asyncio.FIRST_COMPLETED)
            self._awaited = None

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # who waited for it has it

    async def _run(self, window: Window) -> None:
        """What fails here is met again when the client asks for it; but no client waits twice for silence."""
        began, failed = time.monotonic(), True
        try:
            await self._fetch(window, self._ahead.part, self._put)
            failed = False
        except UpstreamSilent:
            raise
        except GatewayError as error:
            self._emit(ReadAheadFailed(self._user, str(error)))
        finally:
            self._ahead.settle(window, time.monotonic() - began, failed=failed)


def _wake(come: "asyncio.Future[None]") -> None:
    if not come.done():
        come.set_result(None)


@dataclass(frozen=True, slots=True)
class HeldBody:
    """Implements ports.Body for a message that is here whole."""

    octets: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.octets

    async def aclose(self) -> None:
        """There is nothing else of it."""
