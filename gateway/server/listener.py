"""Accepting clients on one address: limits first, then TLS where it comes at once, then the conversation."""

import asyncio
import contextlib
import secrets
import socket
import ssl
import time
import traceback
from collections.abc import Callable

from gateway.errors import Overloaded
from gateway.pop3 import err
from gateway.ports import Peer
from gateway.server.conversation import Conversation, Patience
from gateway.server.limits import Connections
from gateway.server.sockets import Site, close, listen
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

ACCEPT_AGAIN_SECONDS = 0.5


class Listener:
    """start() and stop_accepting(); every connection is a task of its own."""

    def __init__(
        self,
        site: Site,
        tls: Callable[[], ssl.SSLContext],
        make_session: Callable[[Peer], Session],
        connections: Connections,
        patience: Patience,
        emit: Callable[[Event], None],
    ) -> None:
        self._site = site
        self._tls = tls
        self._make_session = make_session
        self._connections = connections
        self._patience = patience
        self._emit = emit
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._conversing: set[asyncio.Task[None]] = set()

    def start(self, sockets: list[socket.socket] | None = None) -> Site:
        """Where it listens: with port 0 asked for, the port that the system chose. Raises as listen() does.

        `sockets` are those that listen for this site already; without them it opens its own.
        """
        self._sockets = listen(self._site) if sockets is None else sockets
        loop = asyncio.get_running_loop()
        self._accepting = [loop.create_task(self._accept_from(sock)) for sock in self._sockets]
        self._site = self._site.at(self._sockets[0])
        return self._site

    async def stop_accepting(self) -> None:
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        close(self._sockets)

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
        conversation = Conversation(wire, session, self._patience, self._tls, self._emit)
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
            how = await conversation.run(self._tls() if self._site.implicit_tls else None)
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
                deletions=tally.deleted,
                seconds=round(seconds, 3),
            )
        )
