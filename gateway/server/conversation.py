"""One conversation: octets from the wire through the POP3 connection to the session, and replies back.

What memory can answer is answered as it comes, within the event loop's callback: no task is woken for it. The task
is for the rest: for what the upstream is asked, and for a client that is slow to take what it is sent.
"""

import asyncio
import ssl
import time
import traceback
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.pop3 import NEED_DATA, Change, Command, Connection, Reply, State
from gateway.pop3 import Event as Pop3Event
from gateway.server import handshake
from gateway.server.wire import ConnectionOver, Wire
from gateway.session import Session
from gateway.telemetry.events import Crashed, Event, HandshakeFailed, LoginFailed
from gateway.transfer import Transfer

HANDSHAKE_SECONDS = 30.0
STRANGER_LINGER_SECONDS = 2.0
TURN_COMMANDS = 32  # answered in a row before others get their turn
FLUSH_OCTETS = 65_536  # of replies are gathered before they are sent: pipelined commands get one packet


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a client may take."""

    idle: float
    login: float
    stalled: float


class Conversation:
    """Implements limits.Guest. run() to its end, and say how it ended."""

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
        self._turn = 0  # commands answered in a row
        self._due: Pop3Event | Reply | None = None  # for the task to answer, or to send
        self._login_by = time.monotonic() + patience.login
        self._stopped = ""
        self._last: Pop3Event | None = None

    async def run(self, implicit_tls: ssl.SSLContext | None) -> str:
        """Never raises but for cancellation; the wire is closed when it returns."""
        try:
            await self._wire.open(implicit_tls, HANDSHAKE_SECONDS)
            if self._wire.tls_active:
                self.session.tls_started(self._wire.channel())
            how = await self._talk()
            self._wire.close(self._linger())
        except ConnectionOver as over:
            how = str(over)
            self._wire.abort()
            self._tell_of_handshake(over.__cause__)
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

    def _tell_of_handshake(self, error: BaseException | None) -> None:
        """Nobody else would say why an old device does not come in."""
        if isinstance(error, ssl.SSLCertVerificationError):  # a login that ended before it began
            why = f"the client's certificate: {error.verify_message}"
            self._emit(LoginFailed("", self._wire.peer.address, "", why))
        elif isinstance(error, ssl.SSLError):
            self._emit(HandshakeFailed(self._wire.peer.address, handshake.why(error)))

    async def _close_within_a_message(self) -> None:
        """What was answered before still goes out; the dot that would end the message does not."""
        try:
            await self._flush()
            self._wire.close(self._linger())
        except ConnectionOver:
            self._wire.abort()

    @property
    def is_stranger(self) -> bool:
        return self.session.is_stranger

    @property
    def is_wanted_elsewhere(self) -> bool:
        return self.session.is_wanted_elsewhere

    def stop(self, why: str) -> None:
        """End it now, from outside."""
        self._stopped = why
        self._wire.abort()
        self.session.hurry()

    def see_off(self, why: str) -> None:
        """End it when the client has what it was sent. Idempotent."""
        if not self._stopped:
            self._stopped = why
            self._wire.close(self._linger())
            self.session.hurry()

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing is under way, and has not been for so long (before a login: at all)."""
        if self.busy:
            return False
        return not self.session.authorized or time.monotonic() - self.quiet_since > seconds

    async def _talk(self) -> str:
        await self._send(await self.session.greeting())
        while True:
            if self._answer_what_is_here():
                try:
                    if not await self._wire.listen(self._take, self._deadline):
                        return "the client closed the connection"
                except TimeoutError:
                    # RFC 1939 section 3: close without a response, and without removing anything.
                    return "idle for too long" if self.session.authorized else "no login in time"
            due, self._due = self._due, None
            if due is None or self._turn >= TURN_COMMANDS:  # none of what follows need wait by itself
                await self._give_way()
            if isinstance(due, Reply):
                await self._send(due)
            elif due is not None:
                await self._send(await self.session.answer(due))
            if self._connection.state is State.CLOSED:
                await self._flush()
                return "QUIT" if _is_quit(self._last) else "too many failed logins"
            if not self.session.authorized and time.monotonic() > self._login_by:
                return "no login in time"  # a client that never pauses never waits for it either

    def _take(self, octets: bytes) -> bool:
        """What came; False where the task is needed. Must not block."""
        foreseen = self.session.foreseen
        if foreseen is not None and octets == foreseen.line and self._connection.is_between_lines:
            self._wire.write(foreseen.reply)
            self.session.sent(foreseen)
            self._rest()
            return not self._wire.is_full
        self._connection.receive(octets)
        return self._answer_what_is_here()

    def _answer_what_is_here(self) -> bool:
        """Answer from memory. False where there is something for the task: in _due, a full wire, a long queue."""
        self.busy = True
        while self._turn < TURN_COMMANDS:
            event = self._connection.next_event()
            if event is NEED_DATA:
                self._turn = 0
                self._write_pending()
                self.busy = False
                self._rest()
                return not self._wire.is_full and self._connection.state is not State.CLOSED
            self._turn += 1
            self._last = event
            reply = self.session.answer_now(event)
            if reply is None or reply.lines is not None or reply.change is not Change.NONE:
                self._due = event if reply is None else reply
                self._write_pending()  # what is answered already does not wait for the upstream
                return False
            self._pending += self._connection.send(reply)
            self._pending_octets += len(reply.message)
            if self._pending_octets >= FLUSH_OCTETS:
                break
        self._write_pending()
        return False

    def _rest(self) -> None:
        """Until the client says more. While it takes the reply, the next one is made."""
        self.quiet_since = time.monotonic()
        asyncio.get_running_loop().call_soon(self.session.foresee)

    async def _give_way(self) -> None:
        """Pipelined commands never wait by themselves: without this, one client could hold all others up."""
        self._turn = 0
        if self._wire.is_full:
            await self._wire.drain(self._stalled())
        else:
            await asyncio.sleep(0)

    def _deadline(self) -> float:
        return self.quiet_since + self._patience.idle if self.session.authorized else self._login_by

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
        self._write_pending()
        if self._wire.is_full:
            await self._wire.drain(self._stalled())

    def _write_pending(self) -> None:
        if self._pending:
            octets = b"".join(self._pending) if len(self._pending) > 1 else self._pending[0]
            self._pending.clear()
            self._pending_octets = 0
            self._wire.write(octets)

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
        self.session.tls_started(self._wire.channel())


def _is_quit(event: Pop3Event | None) -> bool:
    return isinstance(event, Command) and event.verb == "QUIT"
