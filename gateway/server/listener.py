"""Accepting clients on one address: limits first, then TLS where it comes at once, then the conversation."""

import asyncio
import contextlib
import dataclasses
import secrets
import socket
import ssl
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import Overloaded, SettingsError
from gateway.pop3 import err
from gateway.ports import Peer
from gateway.server.conversation import Conversation, Patience
from gateway.server.limits import Connections
from gateway.server.wire import Wire
from gateway.session import Session
from gateway.telemetry import session_id
from gateway.telemetry.events import (
    AcceptFailed,
    ConnectionOpened,
    ConnectionRefused,
    Crashed,
    Event,
    SessionEnded,
    StrangerLeft,
)

BACKLOG = 1024  # connections that the system holds for us while we are busy
ACCEPT_AGAIN_SECONDS = 0.5


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
    """start() and stop_accepting(); every connection is a task of its own."""

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
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._conversing: set[asyncio.Task[None]] = set()

    async def start(self) -> Site:
        """Where it listens: with port 0 asked for, the port that the system chose. Raises SettingsError."""
        try:
            self._sockets = await _listening_sockets(self._site.host, self._site.port)
        except UnicodeError:
            raise SettingsError(f"cannot listen on {self._site}: that is no host name") from None
        except OSError as error:
            why = _explain(error, self._site.port)
            raise SettingsError(f"cannot listen on {self._site}: {why}") from error
        loop = asyncio.get_running_loop()
        self._accepting = [loop.create_task(self._accept_from(sock)) for sock in self._sockets]
        self._site = dataclasses.replace(self._site, port=self._sockets[0].getsockname()[1])
        return self._site

    async def stop_accepting(self) -> None:
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for sock in self._sockets:
            sock.close()

    async def end_conversations(self, seconds: float) -> None:
        """Now, whatever they are doing; `seconds` bounds the wait for them."""
        for task in self._conversing:
            task.cancel()
        if self._conversing:
            await asyncio.wait(self._conversing, timeout=seconds)

    async def _accept_from(self, listening: socket.socket) -> None:
        """Ours and not asyncio's server: a connection must count against the limits before its TLS handshake."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:  # out of file descriptors, for instance
                self._emit(AcceptFailed(str(self._site), str(error)))
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            try:
                self._admit(sock, str(address[0]))
            except Exception as error:
                sock.close()
                self._emit(Crashed(repr(error), traceback.format_exc()))

    def _admit(self, sock: socket.socket, address: str) -> None:
        wire = Wire(sock, address)
        session = self._make_session(wire.peer)
        conversation = Conversation(wire, session, self._patience, self._site.tls, self._emit)
        try:
            self._connections.add(conversation, address)
        except Overloaded as error:
            self._emit(ConnectionRefused(address, str(error)))
            with sock, contextlib.suppress(OSError):
                if not self._site.implicit_tls:
                    sock.send(err(error.reply, error.code).head())
            return
        task = asyncio.get_running_loop().create_task(self._converse(wire, conversation))
        self._conversing.add(task)
        task.add_done_callback(self._conversing.discard)

    async def _converse(self, wire: Wire, conversation: Conversation) -> None:
        session_id.set(secrets.token_hex(4))
        began = time.monotonic()
        how = "the gateway is shutting down"
        try:
            self._emit(ConnectionOpened(wire.peer.address, str(self._site)))
            how = await conversation.run(self._site.tls() if self._site.implicit_tls else None)
        finally:
            self._connections.remove(conversation)
            self._sum_up(wire.peer, conversation.session, how, time.monotonic() - began)

    def _sum_up(self, peer: Peer, session: Session, how: str, seconds: float) -> None:
        tally = session.tally
        kind = SessionEnded if session.user else StrangerLeft
        self._emit(
            kind(
                user=session.user,
                address=peer.address,
                how=how,
                retrieved=tally.retrieved,
                retrieved_octets=tally.retrieved_octets,
                tops=tally.tops,
                deleted=tally.deleted,
                seconds=round(seconds, 3),
            )
        )


async def _listening_sockets(host: str, port: int) -> list[socket.socket]:
    """One for each address that the host name has here. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            # IPv6 sockets take IPv6 only, so that 0.0.0.0 and [::] can both be listed.
            sock = socket.create_server(address[:2], family=family, backlog=BACKLOG)
            sock.setblocking(False)
            sockets.append(sock)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _explain(error: OSError, port: int) -> str:
    why = error.strerror or str(error)
    if isinstance(error, PermissionError) and port < 1024:
        return f"{why}; ports under 1024 need root or CAP_NET_BIND_SERVICE"
    return why.partition(" (while")[0]  # asyncio and socket add the address again
