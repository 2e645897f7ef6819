"""One HTTP/1.1 exchange on a connection: a request, its reply, and the end.

h11 knows the protocol; what a stranger may use up is bounded here. A connection carries one request: there is no
second one to be told apart from the first, and nothing that waits.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable

import h11

from gateway.web.message import BadRequest, Request

HEAD_OCTETS = 16 * 1024  # of a request's lines: a provider's answer stands in the first, and is 2 kB long
BODY_OCTETS = 8 * 1024  # of a form: ours have some hundred
READ_OCTETS = 8 * 1024
REQUEST_SECONDS = 15.0  # for TLS, and for all of a request
REPLY_SECONDS = 30.0  # for the browser to take a page
LINGER_SECONDS = 2.0  # for it to stop sending, after it was refused


class Exchange:
    """read(), then write(), then close(). A TimeoutError is an OSError, too."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_OCTETS)
        self._head_only = False

    async def read(self, address: str) -> Request | None:
        """None: there was no request. Raises BadRequest, OSError."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await self._request(address)
        except h11.RemoteProtocolError as error:
            raise BadRequest(error.error_status_hint, "this is no HTTP that is understood here") from None

    async def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Raises OSError."""
        fixed = [("content-length", str(len(body))), ("connection", "close")]
        send = self._connection.send
        octets = send(h11.Response(status_code=status, headers=[*headers, *fixed], reason=b"")) or b""
        if not self._head_only:
            octets += send(h11.Data(data=body)) or b""
        async with asyncio.timeout(REPLY_SECONDS):
            self._writer.write(octets)
            await self._writer.drain()

    async def close(self) -> None:
        """A browser that still sends would never see why it was refused: its connection was reset."""
        with contextlib.suppress(OSError, ssl.SSLError):
            async with asyncio.timeout(LINGER_SECONDS):
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                    while await self._reader.read(READ_OCTETS):
                        pass
                self._writer.close()
                await self._writer.wait_closed()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def _request(self, address: str) -> Request | None:
        event = await self._next()
        if not isinstance(event, h11.Request):
            return None
        self._head_only = event.method == b"HEAD"
        body = await self._body()
        path, _, query = event.target.decode("ascii", "replace").partition("?")
        return Request(event.method.decode("ascii"), path, query, _together(event.headers), body, address)

    async def _body(self) -> bytes:
        body = b""
        while isinstance(event := await self._next(), h11.Data):
            body += event.data
            if len(body) > BODY_OCTETS:
                raise BadRequest(413, "this form is too large")
        return body

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._connection.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]  # h11's sentinels are classes of their own
            if self._connection.they_are_waiting_for_100_continue:
                headers: list[tuple[str, str]] = []
                self._writer.write(
                    self._connection.send(h11.InformationalResponse(status_code=100, headers=headers)) or b""
                )
            self._connection.receive_data(await self._reader.read(READ_OCTETS))


def _together(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """RFC 9110 section 5.3; cookies are the exception, which a proxy may have split (RFC 9113 section 8.2.3)."""
    found: dict[str, str] = {}
    for octets, value in headers:
        name, more = octets.decode("ascii"), value.decode("latin-1")
        between = "; " if name == "cookie" else ", "
        found[name] = f"{found[name]}{between}{more}" if name in found else more
    return found


async def open_exchange(sock: socket.socket, tls: ssl.SSLContext | None) -> Exchange:
    """Raises OSError, ssl.SSLError among them."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_OCTETS, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    patience = REQUEST_SECONDS if tls else None
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, sock, ssl=tls, ssl_handshake_timeout=patience
    )
    return Exchange(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
