"""One conversation: octets from the wire through the POP3 connection to the session, and replies back."""

import asyncio
import itertools
import ssl
import time
import traceback
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.pop3 import NEED_DATA, Change, Command, Connection, Reply, State
from gateway.pop3 import Event as Pop3Event
from gateway.server.wire import ConnectionOver, Wire
from gateway.session import Session
from gateway.telemetry.events import Crashed, Event
from gateway.transfer import Transfer

HANDSHAKE_SECONDS = 30.0
STRANGER_LINGER_SECONDS = 2.0
TURN_COMMANDS = 32  # answered from memory in a row before others get their turn
FLUSH_OCTETS = 65_536  # of replies are gathered before they are sent: pipelined commands get one packet


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a client may take."""

    idle: float
    login: float
    stalled: float


class Conversation:
    """run() to its end, and say how it ended."""

    def __init__(
        self,
        wire: Wire,
        session: Session,
        patience: Patience,
        tls: Callable[[], ssl.SSLContext],
        emit: Callable[[Event], None],
    ) -> None:
        self.busy = False  # between a command and the end of its reply
        self.quiet_since = time.monotonic()
        self.session = session
        self._wire = wire
        self._patience = patience
        self._tls = tls
        self._emit = emit
        self._connection = Connection()
        self._pending: list[bytes] = []
        self._pending_octets = 0
        self._login_by = time.monotonic() + patience.login
        self._stopped = ""
        self._last: Pop3Event | None = None

    async def run(self, implicit_tls: ssl.SSLContext | None) -> str:
        """Never raises but for cancellation; the wire is closed when it returns."""
        try:
            await self._wire.open(implicit_tls, HANDSHAKE_SECONDS)
            self.session.tls_active = self._wire.tls_active
            how = await self._talk()
            self._wire.close(self._linger())
        except ConnectionOver as over:
            how = str(over)
            self._wire.abort()
        except GatewayError as error:  # in the middle of a message: the client must see that it is not whole
            how = f"broken off within a message: {error}"
            await self._close_within_a_message()
        except Exception as error:
            how = "internal error"
            self._wire.abort()
            self._emit(Crashed(repr(error), traceback.format_exc()))
        finally:
            await self.session.close()
        await self._wire.wait_lost()  # until then it counts against the limits
        return self._stopped or how

    async def _close_within_a_message(self) -> None:
        """What was answered before still goes out; the dot that would end the message does not."""
        try:
            await self._flush()
            self._wire.close(self._linger())
        except ConnectionOver:
            self._wire.abort()

    def stop(self, why: str) -> None:
        """End it now, from outside."""
        self._stopped = why
        self._wire.abort()
        self.session.hurry()

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing is under way, and has not been for so long (before a login: at all)."""
        if self.busy:
            return False
        return not self.session.authorized or time.monotonic() - self.quiet_since > seconds

    async def _talk(self) -> str:
        await self._send(self.session.greeting())
        for turn in itertools.count(1):
            if not turn % TURN_COMMANDS and not await self._give_way():
                return "no login in time"
            event = self._connection.next_event()
            if event is not NEED_DATA:
                self.busy = True
                self._last = event
                if self._connection.state is not State.TRANSACTION or self.session.waits_for(event):
                    await self._flush()  # what is answered already does not wait for the upstream
                await self._send(await self.session.answer(event))
                continue
            await self._flush()
            if self._connection.state is State.CLOSED:
                return "QUIT" if _is_quit(self._last) else "too many failed logins"
            try:
                octets = await self._receive()
            except TimeoutError:
                # RFC 1939 section 3: close without a response, and without removing anything.
                return "idle for too long" if self.session.authorized else "no login in time"
            if not octets:
                return "the client closed the connection"
            self._connection.receive(octets)
        raise AssertionError("itertools.count ends")

    async def _give_way(self) -> bool:
        """Pipelined commands never wait by themselves: without this, one client could hold all others up.

        False when the time for a login is over, which such a client would never notice either.
        """
        await asyncio.sleep(0)
        return self.session.authorized or time.monotonic() < self._login_by

    async def _receive(self) -> bytes:
        self.busy = False
        self.quiet_since = time.monotonic()
        patience = self._patience.idle if self.session.authorized else self._login_by - self.quiet_since
        return await self._wire.receive(max(patience, 0))

    async def _send(self, answer: Reply | Transfer) -> None:
        reply = answer.reply if isinstance(answer, Transfer) else answer
        for block in self._connection.send(reply):
            await self._gather(block)
        if isinstance(answer, Transfer):
            async with aclosing(answer.blocks) as blocks:
                async for block in blocks:
                    await self._gather(block)
        if reply.change is Change.TLS_STARTS:
            await self._start_tls()

    async def _gather(self, block: bytes) -> None:
        self._pending.append(block)
        self._pending_octets += len(block)
        if self._pending_octets >= FLUSH_OCTETS:
            await self._flush()

    async def _flush(self) -> None:
        if self._pending:
            octets = b"".join(self._pending) if len(self._pending) > 1 else self._pending[0]
            self._pending.clear()
            self._pending_octets = 0
            await self._wire.send(octets, self._stalled())

    def _linger(self) -> float:
        """How long the client may take for the last of what it was sent."""
        return self._patience.stalled if self.session.authorized else STRANGER_LINGER_SECONDS

    def _stalled(self) -> float:
        """How long the client may take nothing: a stranger no longer than the login may take."""
        if self.session.authorized:
            return self._patience.stalled
        return max(min(self._patience.stalled, self._login_by - time.monotonic()), 0.1)

    async def _start_tls(self) -> None:
        await self._flush()
        await self._wire.start_tls(self._tls(), HANDSHAKE_SECONDS)
        self.session.tls_active = True


def _is_quit(event: Pop3Event | None) -> bool:
    return isinstance(event, Command) and event.verb == "QUIT"
