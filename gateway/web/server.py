"""Browsers' connections: accepted, counted, bounded, and each given to the pages for one answer."""

import asyncio
import contextlib
import dataclasses
import socket
import ssl
import traceback
from collections.abc import Awaitable, Callable

from gateway.errors import Overloaded
from gateway.networks import is_within
from gateway.server.acceptor import Acceptor
from gateway.server.limits import Connections
from gateway.server.sockets import Site
from gateway.telemetry.events import ConnectionRefused, Crashed, Event, PageServed
from gateway.web.exchange import Exchange, open_exchange
from gateway.web.headers import for_reply
from gateway.web.message import BadRequest, Reply, Request
from gateway.web.visitors import Networks, client_of

CONNECTIONS = 200  # at once, in each worker
CONNECTIONS_PER_ADDRESS = 20  # a browser opens six
PLAIN = "text/plain; charset=utf-8"

Pages = Callable[[Request], Awaitable[tuple[str, Reply]]]  # the page's name, for the log, and what it answers


class WebServer:
    """start(), then stop_accepting(), then end()."""

    def __init__(
        self,
        site: Site,
        pages: Pages,
        emit: Callable[[Event], None],
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        proxies: Networks = (),
        is_secure: bool = False,
    ) -> None:
        """Browsers come through `proxies` only, where there are any; `is_secure`: over TLS, here or there."""
        self._acceptor = Acceptor(site, self._admit, emit)
        self._pages = pages
        self._emit = emit
        self._tls = tls
        self._proxies = proxies
        self._is_secure = is_secure
        self._connections = Connections(CONNECTIONS, CONNECTIONS_PER_ADDRESS)
        self._visits: set[asyncio.Task[None]] = set()

    def start(self, sockets: list[socket.socket] | None = None) -> Site:
        """As Acceptor.start()."""
        return self._acceptor.start(sockets)

    def stop_accepting(self) -> None:
        self._acceptor.stop()

    @property
    def is_busy(self) -> bool:
        """A request has come, and its answer has not gone."""
        return any(not visit.is_stranger for visit in self._connections)

    async def end(self, seconds: float) -> None:
        """Answers that are under way may be finished within the time; the rest is cut off."""
        if self._visits:
            await asyncio.wait(self._visits, timeout=seconds)
        for visit in self._visits:
            visit.cancel()
        if self._visits:
            await asyncio.wait(self._visits, timeout=seconds)

    def _admit(self, sock: socket.socket, address: str) -> None:
        visit = _Visit()
        by_proxy = bool(self._proxies) and is_within(address, self._proxies)
        try:
            if self._proxies and not by_proxy:
                raise Overloaded("it is no proxy of ours (web.proxy_from)")
            self._connections.add(visit, None if by_proxy else address)
        except Overloaded as error:
            self._emit(ConnectionRefused(address, str(error)))
            sock.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(sock, address, visit))
        visit.task = task
        self._visits.add(task)
        task.add_done_callback(self._visits.discard)

    async def _converse(self, sock: socket.socket, address: str, visit: "_Visit") -> None:
        """A browser that hangs up, or is too slow, hears no more."""
        try:
            with contextlib.suppress(OSError, ssl.SSLError):
                exchange = await open_exchange(sock, self._tls() if self._tls else None)
                try:
                    await self._exchange(exchange, address, visit)
                    await exchange.close()
                finally:
                    exchange.abort()
        except Exception as error:
            self._emit(Crashed(repr(error), traceback.format_exc()))
        finally:
            self._connections.remove(visit)
            sock.close()

    async def _exchange(self, exchange: Exchange, address: str, visit: "_Visit") -> None:
        page, reply = "", Reply(500)
        try:
            request = await exchange.read(address)
            if request is None:
                return
            visit.is_stranger = False
            address = client_of(request, self._proxies)
            page, reply = await self._answer(request, address)
        except BadRequest as error:
            page, reply = "none", Reply(error.status, f"{error}\n".encode(), PLAIN)
        headers = [*for_reply(reply, is_secure=self._is_secure)]
        await exchange.write(reply.status, headers, reply.body)
        self._emit(PageServed(page, reply.status, address))

    async def _answer(self, request: Request, address: str) -> tuple[str, Reply]:
        try:
            return await self._pages(dataclasses.replace(request, address=address))
        except BadRequest:
            raise
        except Exception as error:
            self._emit(Crashed(repr(error), traceback.format_exc()))
            return "none", Reply(500, b"Something is wrong here; it is in the gateway's log.\n", PLAIN)


class _Visit:
    """Implements limits.Guest. Whoever has sent no request yet makes room."""

    is_wanted_elsewhere = False

    def __init__(self) -> None:
        self.is_stranger = True
        self.task: asyncio.Task[None] | None = None

    def is_quiet(self, seconds: float) -> bool:  # noqa: ARG002
        return self.is_stranger

    def stop(self, why: str) -> None:  # noqa: ARG002
        if self.task is not None:
            self.task.cancel()

    def see_off(self, why: str) -> None:
        """Who is quiet was sent nothing."""
        self.stop(why)
