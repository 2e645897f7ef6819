"""The byte pump: one client's connection, with a bounded buffer in and a bounded buffer out."""

import asyncio
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL
from typing import cast

from gateway.ports import Peer

RECEIVE_OCTETS = 65_536  # held of what a client sends ahead; then its socket is not read any more
# A client that vanished is noticed in about two minutes, not after the ten of the idle time.
KEEPALIVE = ((SOL_SOCKET, SO_KEEPALIVE, 1), (IPPROTO_TCP, TCP_KEEPIDLE, 60), (IPPROTO_TCP, TCP_KEEPINTVL, 15))
KEEPALIVE_PROBES = (IPPROTO_TCP, TCP_KEEPCNT, 4)


class ConnectionOver(Exception):
    """The client is gone, or as good as gone; `str()` says how."""


class Wire(asyncio.Protocol):
    """receive(), send(), start_tls(), close(): what a conversation needs of a socket."""

    def __init__(self, accept: Callable[["Wire"], None], *, paused: bool) -> None:
        self.peer = Peer("")
        self.tls_active = False
        self._accept = accept
        self._starts_paused = paused
        self._buffer = bytearray()
        self._ended = False  # no more will come
        self._lost = False  # nothing can be sent either
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._full = False  # the transport's write buffer
        self._linger: asyncio.TimerHandle | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._starts_paused:
            # The first octets are a TLS handshake, not ours to read.
            self._transport.pause_reading()
        address = (transport.get_extra_info("peername") or ("",))[0]
        self.peer = Peer(address, _is_loopback(address))
        sock = transport.get_extra_info("socket")
        if sock is not None:
            for option in (*KEEPALIVE, KEEPALIVE_PROBES):
                sock.setsockopt(*option)
        self._accept(self)

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
        self._transport.pause_reading()
        self._buffer.clear()
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                self._transport, self, context, server_side=True, ssl_handshake_timeout=seconds
            )
        except (OSError, ssl.SSLError) as error:
            raise ConnectionOver(f"the TLS handshake failed: {error}") from error
        if upgraded is None:
            raise ConnectionOver("the client closed the connection within the TLS handshake")
        self._transport = upgraded
        self.tls_active = True

    def write_now(self, octets: bytes) -> None:
        """Without waiting for the client to take it: for one short line."""
        self._transport.write(octets)

    def close(self, linger: float) -> None:
        """Send what is buffered, for at most `linger` seconds, then close."""
        if not self._lost:
            self._transport.close()
            self._linger = asyncio.get_running_loop().call_later(linger, self.abort)

    def abort(self) -> None:
        """Close at once: the client sees that what it got is not whole."""
        self._transport.abort()


def _wake(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
