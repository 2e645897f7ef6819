"""What one session writes into the ledger, and what it tells of it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec

from gateway.errors import GatewayError, MaildropInUse, StateError
from gateway.maildrop import Correction, Intent
from gateway.ports import Account, Ledger, Locks
from gateway.telemetry.events import CommandFailed, DeletionDeferred, Event, PromisesKept
from gateway.threads import Threads

_P = ParamSpec("_P")


@dataclass(frozen=True, slots=True)
class Rooms:
    """What mailboxes with a memory need, besides the mailboxes."""

    ledger: Ledger
    locks: Locks  # that never wait
    threads: Threads  # for both, which block
    emit: Callable[[Event], None]
    clock: Callable[[], float] = time.time


class Page:
    """The ledger's page of one maildrop, under one UIDVALIDITY. What is awaited raises StateError."""

    def __init__(self, rooms: Rooms, account: Account, uidvalidity: int) -> None:
        self.uidvalidity = uidvalidity
        self._rooms = rooms
        self._user = account.user
        self._key = account.memory_key

    def now(self) -> float:
        return self._rooms.clock()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Whether no other session keeps this maildrop's promises, and none will within."""
        lock = self._rooms.locks.lock(f"{self._key}\0promises")
        acquiring = self._rooms.threads.submit(lock.acquire)
        try:
            await self._rooms.threads.result(acquiring)
        except asyncio.CancelledError:
            acquiring.add_done_callback(lambda _: lock.release())
            raise
        except (MaildropInUse, StateError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    async def intend(self, intent: Intent) -> None:
        await self._write(self._rooms.ledger.intend, self._key, intent)

    async def take_back(self, intent: Intent) -> None:
        await self._write(self._rooms.ledger.take_back, self._key, intent)

    async def correct(self, corrections: Mapping[int, Correction]) -> None:
        await self._write(self._rooms.ledger.correct, self._key, self.uidvalidity, corrections)

    async def fulfil(self, uids: Collection[int]) -> None:
        """It is done upstream: with a ledger that cannot be written we only look once more at the next login."""
        try:
            if uids:
                await self._write(self._rooms.ledger.fulfil, self._key, self.uidvalidity, uids)
        except StateError as error:
            self.failed(error)

    def note_copied(self, uids: Sequence[int]) -> None:
        """In a worker thread. A note that cannot be made costs a second copy, if the rest should fail."""
        try:
            self._rooms.ledger.note_copied(self._key, self.uidvalidity, uids)
        except StateError as error:
            self.failed(error)

    def failed(self, error: GatewayError) -> None:
        """Nobody loses mail by it, and no client waits."""
        self._rooms.emit(CommandFailed(self._user, "QUIT", str(error)))

    def deferred(self, messages: int, why: str) -> None:
        if messages:
            self._rooms.emit(DeletionDeferred(self._user, messages, why))

    def kept(self, messages: int) -> None:
        if messages:
            self._rooms.emit(PromisesKept(self._user, messages))

    async def _write(self, method: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> None:
        await self._rooms.threads.run(method, *args, **kwargs)
