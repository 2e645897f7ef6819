"""Accepting clients on one address: limits first, then TLS where it comes at once, then the conversation."""

import asyncio
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import Overloaded, SettingsError
from gateway.pop3 import err
from gateway.ports import Peer
from gateway.server.conversation import Conversation, Patience
from gateway.server.limits import Connections
from gateway.server.wire import ConnectionOver, Wire
from gateway.session import Session
from gateway.telemetry import session_id
from gateway.telemetry.events import ConnectionOpened, ConnectionRefused, Event, SessionEnded

BACKLOG = 1024  # connections that the system holds for us while we are busy
HANDSHAKE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Site:
    """What one listener is: where, and how."""

    host: str
    port: int
    implicit_tls: bool
    tls: Callable[[], ssl.SSLContext]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'pop3s' if self.implicit_tls else 'pop3'}://{host}:{self.port}"


class Listener:
    """start() and stop(); every connection is a task of its own."""

    def __init__(
        self,
        site: Site,
        make_session: Callable[[Peer], Session],
        connections: Connections,
        patience: Patience,
        emit: Callable[[Event], None],
    ) -> None:
        self._site = site
        self._make_session = make_session
        self._connections = connections
        self._patience = patience
        self._emit = emit
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Site:
        """Where it listens: with port 0 asked for, the port that the system chose."""
        site = self._site
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Wire(self._accept, paused=site.implicit_tls), site.host, site.port, backlog=BACKLOG
            )
        except OSError as error:
            raise SettingsError(f"cannot listen on {site}: {_explain(error, site.port)}") from error
        port = self._server.sockets[0].getsockname()[1]
        return Site(site.host, port, site.implicit_tls, site.tls)

    def stop_accepting(self) -> None:
        if self._server is not None:
            self._server.close()

    async def end_conversations(self, seconds: float) -> None:
        """Now, whatever they are doing; `seconds` bounds the wait for them."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _accept(self, wire: Wire) -> None:
        """Called by asyncio for every new connection."""
        session = self._make_session(wire.peer)
        conversation = Conversation(wire, session, self._patience, self._site.tls, self._emit)
        try:
            self._connections.add(conversation, wire.peer.address)
        except Overloaded as error:
            self._emit(ConnectionRefused(wire.peer.address, str(error)))
            self._turn_away(wire, error)
            return
        task = asyncio.get_running_loop().create_task(self._converse(wire, conversation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _turn_away(self, wire: Wire, error: Overloaded) -> None:
        if not self._site.implicit_tls:
            wire.write_now(err(error.reply, error.code).head())
        wire.close(HANDSHAKE_SECONDS)

    async def _converse(self, wire: Wire, conversation: Conversation) -> None:
        session_id.set(secrets.token_hex(4))
        began = asyncio.get_running_loop().time()
        self._emit(ConnectionOpened(wire.peer.address, str(self._site)))
        try:
            how = await self._greet_and_run(wire, conversation)
        finally:
            self._connections.remove(conversation)
        tally = conversation.session.tally
        self._emit(
            SessionEnded(
                user=tally.user,
                address=wire.peer.address,
                how=how,
                retrieved=tally.retrieved,
                retrieved_octets=tally.retrieved_octets,
                tops=tally.tops,
                deleted=tally.deleted,
                seconds=round(asyncio.get_running_loop().time() - began, 3),
            )
        )

    async def _greet_and_run(self, wire: Wire, conversation: Conversation) -> str:
        if self._site.implicit_tls:
            try:
                await wire.start_tls(self._site.tls(), HANDSHAKE_SECONDS)
            except ConnectionOver as over:
                wire.abort()
                return str(over)
            conversation.session.tls_active = True
        return await conversation.run()


def _explain(error: OSError, port: int) -> str:
    why = error.strerror or str(error)
    if isinstance(error, PermissionError) and port < 1024:
        return f"{why}; ports under 1024 need root or CAP_NET_BIND_SERVICE"
    return why.rsplit(": ", 1)[-1]  # asyncio repeats the address
