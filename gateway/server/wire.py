"""The byte pump: one client's connection, with a bounded buffer in and a bounded buffer out."""

import asyncio
import contextlib
import socket
import ssl
from ipaddress import IPv6Address, ip_address
from typing import cast

from gateway.ports import Peer

TLS_GOODBYE_SECONDS = 2.0  # for the client to answer our close_notify
TCP_NOTSENT_LOWAT = 25  # linux/tcp.h; Python has no name for it
RECEIVE_OCTETS = 65_536  # held of what a client sends ahead; then its socket is not read any more
SOCKET_OPTIONS = (
    # Little waits unsent in the kernel, so that a slow client's progress is seen as it happens.
    (socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, 131_072),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),  # asyncio forgets it on sockets that it did not make
    # A client that vanished is noticed in about two minutes, not after the ten of the idle time.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


class ConnectionOver(Exception):
    """The client is gone, or as good as gone; `str()` says how."""


class Wire(asyncio.Protocol):
    """open(), receive(), send(), start_tls(), close(): what a conversation needs of an accepted socket."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.peer = Peer(address, _is_loopback(address))
        self.tls_active = False
        self._socket = sock
        self._opened: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ended = False  # no more will come
        self._lost = False  # nothing can be sent either
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._full = False  # the transport's write buffer
        self._linger: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._opened = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= RECEIVE_OCTETS:
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> bool:
        self._ended = True
        _wake(self._reader)
        return not self.tls_active  # a half-closed client still gets its answers; TLS has no half

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        self._ended = self._lost = True
        self._gone.set()
        if self._linger is not None:
            self._linger.cancel()
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        _wake(self._writer)

    # the conversation's side

    async def open(self, context: ssl.SSLContext | None, seconds: float) -> None:
        """Begin, with a TLS handshake if there is a context. Raises ConnectionOver."""
        self.tls_active = context is not None
        try:
            for option in SOCKET_OPTIONS:
                self._socket.setsockopt(*option)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self,
                self._socket,
                ssl=context,
                ssl_handshake_timeout=seconds if context else None,
                ssl_shutdown_timeout=TLS_GOODBYE_SECONDS if context else None,
            )
        except OSError as error:
            self._socket.close()
            raise ConnectionOver(f"the connection did not begin: {error}") from error

    async def receive(self, seconds: float) -> bytes:
        """What the client sent, at least an octet; b"" when it sends no more. Raises TimeoutError."""
        if not self._buffer and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self._reader
            finally:
                self._reader = None
        data = bytes(self._buffer)
        self._buffer.clear()
        if not self._ended:
            self._transport.resume_reading()
        return data

    async def send(self, octets: bytes, stalled: float) -> None:
        """Returns when the client has taken enough of it; ConnectionOver when it takes nothing for `stalled` s."""
        if self._lost:
            raise ConnectionOver("the client closed the connection")
        self._transport.write(octets)
        while self._full and not self._lost:
            before = self._transport.get_write_buffer_size()
            self._writer = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(stalled):
                    await self._writer
            except TimeoutError:
                if self._transport.get_write_buffer_size() >= before:
                    raise ConnectionOver("the client took nothing for too long") from None
            finally:
                self._writer = None

    async def start_tls(self, context: ssl.SSLContext, seconds: float) -> None:
        """Raises ConnectionOver. What came in clear before is forgotten (RFC 2595 section 4)."""
        if self._lost:
            raise ConnectionOver("the client closed the connection")
        self._transport.pause_reading()
        self._buffer.clear()
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=TLS_GOODBYE_SECONDS,
            )
        except OSError as error:
            raise ConnectionOver(f"the TLS handshake failed: {error}") from error
        if upgraded is None:
            raise ConnectionOver("the client closed the connection within the TLS handshake")
        self._opened = upgraded
        self.tls_active = True

    def close(self, linger: float) -> None:
        """Send what is buffered, for at most `linger` seconds, then close."""
        if not self._lost:
            self._transport.close()
            self._linger = asyncio.get_running_loop().call_later(linger, self.abort)

    def abort(self) -> None:
        """Close at once: the client sees that what it got is not whole."""
        if self._opened is not None:
            self._opened.abort()
        else:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # open() notices

    async def wait_lost(self) -> None:
        """After close() or abort(): until the socket is closed."""
        if self._opened is not None:
            await self._gone.wait()

    @property
    def _transport(self) -> asyncio.Transport:
        assert self._opened is not None  # noqa: S101 - open() comes first
        return self._opened


def _wake(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback
