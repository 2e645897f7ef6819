"""The byte pump: one client's connection, with a bounded buffer in and a bounded buffer out."""

import asyncio
import contextlib
import fcntl
import socket
import ssl
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

from gateway.ports import Channel, Peer
from gateway.server.tls import ServerContext

# A client that has all it was sent may take so long to answer our close_notify (RFC 8446 section 6.1): two looks.
GOODBYE_LOOK_SECONDS = 1.0
# The event loop would count the time to take what was sent, too: what is left of a message, for a slow client.
TLS_SHUTDOWN_SECONDS = 86_400.0
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
    """open(), listen(), send(), start_tls(), close(): what a conversation needs of an accepted socket."""

    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self.peer = peer
        self.tls_active = False
        self._socket = sock
        self._opened: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ended = False  # no more will come
        self._lost = False  # nothing can be sent either
        self._listener: _Listener | None = None
        self._writer: asyncio.Future[None] | None = None
        self._full = False  # the transport's write buffer
        self._linger: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._opened = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if self._listener is not None and self._listener.listens:
            self._listener.hear(data)
            return
        self._buffer += data
        if len(self._buffer) >= RECEIVE_OCTETS:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._end()
        return not self.tls_active  # a half-closed client still gets its answers; TLS has no half

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        self._lost = True
        self._gone.set()
        if self._linger is not None:
            self._linger.cancel()
        self._end()
        _wake(self._writer)

    def _end(self) -> None:
        self._ended = True
        if self._listener is not None:
            self._listener.stop()

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
                ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS if context else None,
            )
        except OSError as error:
            self._socket.close()
            raise ConnectionOver(f"the connection did not begin: {error}") from error

    async def listen(self, take: Callable[[bytes], bool], deadline: Callable[[], float]) -> bool:
        """Hand what the client sends to `take`, as it comes and without a task switch, until that returns False.

        True then; False when the client sends no more. Raises what `take` raises, and TimeoutError when nothing
        more comes by `deadline()`, a time of time.monotonic() that is asked for again whenever it has passed.
        """
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            if not self._ended:
                self._transport.resume_reading()
            if not take(data):
                return True
        if self._ended:
            return False
        self._listener = listener = _Listener(take, deadline)
        try:
            return await listener.done
        finally:
            listener.timer.cancel()
            self._listener = None

    @property
    def is_full(self) -> bool:
        """Whether the client should take some before it is sent more."""
        return self._full

    def write(self, octets: bytes) -> None:
        """Send without a wait; drain() is to follow where is_full. Raises ConnectionOver."""
        if self._lost:
            raise ConnectionOver("the client closed the connection")
        self._transport.write(octets)

    async def drain(self, stalled: float) -> None:
        """Returns when the client has taken enough of it; ConnectionOver when it takes nothing for `stalled` s."""
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
                ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS,
            )
        except OSError as error:
            raise ConnectionOver(f"the TLS handshake failed: {error}") from error
        if upgraded is None:
            raise ConnectionOver("the client closed the connection within the TLS handshake")
        self._opened = upgraded
        self.tls_active = True

    def channel(self) -> Channel:
        """What TLS says, once it is active."""
        tls = self._transport.get_extra_info("ssl_object")
        if tls is None:  # a transport that tells nothing of it
            return Channel()
        bindings: dict[str, bytes] = {}
        if isinstance(tls.context, ServerContext) and tls.context.end_point:
            bindings["tls-server-end-point"] = tls.context.end_point
        if tls.version() == "TLSv1.2" and (unique := tls.get_channel_binding("tls-unique")):
            bindings["tls-unique"] = unique
        return Channel(bindings, _names_in(tls.getpeercert() or {}), tls.version() or "")

    def close(self, linger: float) -> None:
        """Send what is buffered, for at most `linger` seconds, then close. Idempotent."""
        if self._opened is None:
            self.abort()
        elif not self._lost and self._linger is None:
            self._transport.close()
            self._wait_for_goodbye(time.monotonic() + linger)

    def abort(self) -> None:
        """Close at once: the client sees that what it got is not whole."""
        if self._opened is not None:
            self._opened.abort()
        else:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # open() notices

    def _wait_for_goodbye(self, end: float, *, has_all: bool = False) -> None:
        """`has_all`: at the last look the client had all that it was sent."""
        wait = min(GOODBYE_LOOK_SECONDS, max(end - time.monotonic(), 0))
        self._linger = asyncio.get_running_loop().call_later(wait, self._look_for_goodbye, end, has_all)

    def _look_for_goodbye(self, end: float, had_all: bool) -> None:
        # What lies between TLS and the kernel cannot be seen. It goes to the kernel where that has nothing.
        has_all = not self._transport.get_write_buffer_size() and not _unacknowledged(self._socket)
        if time.monotonic() >= end or (has_all and had_all):
            self.abort()
        else:
            self._wait_for_goodbye(end, has_all=has_all)

    async def wait_lost(self) -> None:
        """After close() or abort(): until the socket is closed."""
        if self._opened is not None:
            await self._gone.wait()

    @property
    def _transport(self) -> asyncio.Transport:
        assert self._opened is not None  # noqa: S101 - open() comes first
        return self._opened


class _Listener:
    """Who takes what comes, and until when. There is one timer for all that comes, not one for each time."""

    def __init__(self, take: Callable[[bytes], bool], deadline: Callable[[], float]) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[bool] = loop.create_future()
        self.timer = loop.call_later(max(deadline() - time.monotonic(), 0), self._look_at_clock)
        self._take = take
        self._deadline = deadline

    @property
    def listens(self) -> bool:
        return not self.done.done()

    def hear(self, data: bytes) -> None:
        try:
            if not self._take(data):
                self.done.set_result(True)
        except Exception as error:
            self.done.set_exception(error)

    def stop(self) -> None:
        if self.listens:
            self.done.set_result(False)

    def _look_at_clock(self) -> None:
        left = self._deadline() - time.monotonic()
        if left > 0:
            self.timer = asyncio.get_running_loop().call_later(left, self._look_at_clock)
        elif self.listens:
            self.done.set_exception(TimeoutError())


def _unacknowledged(sock: socket.socket) -> int:
    """Octets that the kernel holds for the other end."""
    with contextlib.suppress(OSError, ValueError):
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return 0  # it is closed


def _wake(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _names_in(certificate: Mapping[str, object]) -> tuple[str, ...]:
    """Of a verified client certificate, as ssl tells them: mail addresses first (RFC 5280 section 4.1.2.6 knows
    them in the subject, too), then the common name.
    """
    alternatives = cast("tuple[tuple[str, str], ...]", certificate.get("subjectAltName", ()))
    subject = cast("tuple[tuple[tuple[str, str], ...], ...]", certificate.get("subject", ()))
    named = [pair for part in subject for pair in part]
    told = [*_of("emailAddress", named), *_of("email", alternatives), *_of("commonName", named)]
    return tuple(dict.fromkeys(told))


def _of(wanted: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (value for kind, value in pairs if kind == wanted)
