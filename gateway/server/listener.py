"""Accepting clients on one address: limits first, then a proxy's header where they come through one, then TLS
where it comes at once, then the conversation.
"""

import asyncio
import contextlib
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Coroutine

from gateway.errors import Overloaded
from gateway.pop3 import err
from gateway.ports import Peer
from gateway.server.acceptor import Acceptor
from gateway.server.arrival import Arrival
from gateway.server.conversation import Conversation, Patience
from gateway.server.limits import Connections
from gateway.server.peers import Proxies, direct
from gateway.server.proxy import BadHeader
from gateway.server.sockets import Site
from gateway.server.wire import ConnectionOver, Wire
from gateway.session import Session
from gateway.telemetry import session_id
from gateway.telemetry.events import (
    ConnectionOpened,
    ConnectionRefused,
    Event,
    ProxyLeft,
    SessionEnded,
    StrangerLeft,
)


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
        proxies: Proxies | None = None,
    ) -> None:
        """Clients come through `proxies` only, where there are any."""
        self._acceptor = Acceptor(site, self._admit, emit)
        self._tls = tls
        self._make_session = make_session
        self._connections = connections
        self._patience = patience
        self._emit = emit
        self._proxies = proxies
        self._conversing: set[asyncio.Task[None]] = set()

    def start(self, sockets: list[socket.socket] | None = None) -> Site:
        """As Acceptor.start()."""
        return self._acceptor.start(sockets)

    def stop_accepting(self) -> None:
        self._acceptor.stop()

    async def end_conversations(self, seconds: float) -> None:
        """Now, whatever they are doing; `seconds` bounds the wait for them."""
        for task in self._conversing:
            task.cancel()
        if self._conversing:
            await asyncio.wait(self._conversing, timeout=seconds)

    def _admit(self, sock: socket.socket, address: str) -> None:
        if self._proxies is None:
            if admitted := self._enter(sock, direct(address)):
                self._begin(self._converse(*admitted))
            return
        arrival = Arrival(sock, address, self._proxies)
        try:
            if not self._proxies.may_speak(address):
                raise BadHeader("it is no proxy of ours (listen.proxy_from)")
            self._connections.add(arrival, None)
        except (BadHeader, Overloaded) as error:
            self._emit(ConnectionRefused(address, str(error)))
            sock.close()
            return
        self._begin(self._arrive(arrival))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._conversing.add(task)
        task.add_done_callback(self._conversing.discard)

    async def _arrive(self, arrival: Arrival) -> None:
        """Until its header came it counts in all, and not for the proxy's address; then for the client's."""
        peer = await self._client(arrival)
        if peer is not None and (admitted := self._enter(arrival.socket, peer)):
            await self._converse(*admitted)

    async def _client(self, arrival: Arrival) -> Peer | None:
        """None: the proxy does not say."""
        try:
            return await arrival.peer()
        except ConnectionOver as over:
            self._emit(ProxyLeft(arrival.address, str(over)))
        except BadHeader as error:
            self._emit(ConnectionRefused(arrival.address, str(error)))
        finally:
            self._connections.remove(arrival)
        return None

    def _enter(self, sock: socket.socket, peer: Peer) -> tuple[Wire, Conversation] | None:
        """None: it was refused."""
        wire = Wire(sock, peer)
        conversation = Conversation(wire, self._make_session(peer), self._patience, self._tls, self._emit)
        try:
            self._connections.add(conversation, peer.address)
        except Overloaded as error:
            self._emit(ConnectionRefused(peer.address, str(error)))
            with sock, contextlib.suppress(OSError):
                if not self._acceptor.site.implicit_tls:
                    sock.send(err(error.reply, error.code).head())
            return None
        return wire, conversation

    async def _converse(self, wire: Wire, conversation: Conversation) -> None:
        session_id.set(secrets.token_hex(4))
        began = time.monotonic()
        how = "the gateway is shutting down"
        try:
            self._emit(ConnectionOpened(wire.peer.address, str(self._acceptor.site)))
            how = await conversation.run(self._tls() if self._acceptor.site.implicit_tls else None)
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
