"""Accepting connections on one address, and letting somebody else decide what becomes of each."""

import asyncio
import socket
import traceback
from collections.abc import Callable

from gateway.server.sockets import Site, close, listen
from gateway.telemetry.events import AcceptFailed, Crashed, Event

ACCEPT_AGAIN_SECONDS = 0.5


class Acceptor:
    """start() and stop(). Ours and not asyncio's server: a connection must count before its TLS handshake."""

    def __init__(
        self, site: Site, admit: Callable[[socket.socket, str], None], emit: Callable[[Event], None]
    ) -> None:
        """`admit` gets each connection, and its address; it must not block. When it raises the connection ends."""
        self.site = site
        self._admit = admit
        self._emit = emit
        self._sockets: list[socket.socket] = []
        self._again: dict[socket.socket, asyncio.TimerHandle] = {}  # where accepting failed just now

    def start(self, sockets: list[socket.socket] | None = None) -> Site:
        """Where it listens: with port 0 asked for, the port that the system chose. Raises as listen() does.

        `sockets` are those that listen for this site already; without them it opens its own.
        """
        self._sockets = listen(self.site) if sockets is None else sockets
        for sock in self._sockets:
            self._watch(sock)
        self.site = self.site.at(self._sockets[0])
        return self.site

    def stop(self) -> None:
        for again in self._again.values():
            again.cancel()
        for sock in self._sockets:
            asyncio.get_running_loop().remove_reader(sock)
        close(self._sockets)

    def _watch(self, listening: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            sock, address = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):  # it is gone already
            return
        except OSError as error:  # out of file descriptors, for instance
            self._emit(AcceptFailed(str(self.site), str(error)))
            loop = asyncio.get_running_loop()
            loop.remove_reader(listening)
            self._again[listening] = loop.call_later(ACCEPT_AGAIN_SECONDS, self._watch, listening)
            return
        try:
            sock.setblocking(False)
            self._admit(sock, str(address[0]))
        except Exception as error:
            sock.close()
            self._emit(Crashed(repr(error), traceback.format_exc()))
