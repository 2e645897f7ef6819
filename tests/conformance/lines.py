"""Two ways to the gateway: a line in memory, where it is known when the server has said all, and real sockets.

In memory runs the real Wire over a transport that is none; everything above it is the real code, too. TLS needs
sockets: there runs the real Listener.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol

from gateway.config.settings import Limits, Timeouts
from gateway.ports import Peer, Services, Terms
from gateway.server.conversation import Conversation, Patience
from gateway.server.limits import Connections
from gateway.server.listener import Listener
from gateway.server.peers import direct
from gateway.server.sockets import Site
from gateway.server.wire import Wire
from gateway.session import Session
from gateway.telemetry.events import Event
from tests.servers.tls import Certificates

LOOPBACK = "127.0.0.1"
HOST = "localhost"  # as the certificate names it
TOO_LONG = 10.0  # seconds, for an answer that takes none

# The defaults that operators get.
PATIENCE = Patience(Timeouts().idle, Timeouts().login, Timeouts().stalled)
LOGIN_ATTEMPTS = Limits().login_attempts


@dataclass(frozen=True, slots=True)
class Offer:
    """What a listener has, as the app tells its sessions."""

    tls_available: bool
    allow_plaintext: bool = False
    implicit_tls: bool = False


LISTENERS = {
    "pop3": Offer(tls_available=True),
    "pop3 without TLS": Offer(tls_available=False),
    "pop3, passwords in clear allowed": Offer(tls_available=True, allow_plaintext=True),
    "pop3s": Offer(tls_available=False, implicit_tls=True),
}


class Client(Protocol):
    """The client's end of a connection."""

    async def say(self, octets: bytes) -> None:
        """Does not wait for an answer."""

    async def hear(self, enough: Callable[[bytes], bool]) -> bytes:
        """What the server has said since; a socket waits until it is `enough`."""

    async def ended(self, wait: float) -> str:
        """How the server has ended the connection: "closes", "aborts", or "" when it has not.

        A socket waits up to `wait` seconds to see it.
        """

    async def start_tls(self) -> None: ...

    async def stop_sending(self) -> None: ...

    async def be_silent(self, seconds: float) -> None: ...

    async def vanish(self) -> None:
        """Without a QUIT, whatever is under way. Returns when the server has done all it does about it."""


@dataclass(slots=True)
class Gateway:
    """What all connections of a case share."""

    services: Services
    offer: Offer
    address: str = LOOPBACK
    login_attempts: int = LOGIN_ATTEMPTS
    events: list[Event] = field(default_factory=list)

    def session(self, peer: Peer) -> Session:
        terms = Terms(
            "pop.example.com",
            self.offer.tls_available,
            self.offer.allow_plaintext,
            self.login_attempts,
            failure_delay=0,
        )
        return Session(self.services, terms, peer, self.events.append)


class _Transport(asyncio.Transport):
    """Keeps what the server writes."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.written = bytearray()
        self.end = ""
        self._wire = wire

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.end:
            self.written += data

    def close(self) -> None:
        self._end("closes")

    def abort(self) -> None:
        self._end("aborts")

    def lose(self) -> None:
        """The client's doing."""
        self._end("lost")

    def is_closing(self) -> bool:
        return bool(self.end)

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def _end(self, how: str) -> None:
        if not self.end:
            self.end = how
            asyncio.get_running_loop().call_soon(self._wire.connection_lost, None)


class _Wire(Wire):
    """The real one, and word of when the server waits for the client."""

    def __init__(self, address: str) -> None:
        with socket.socket() as unused:
            super().__init__(unused, direct(address))
        self.transport = _Transport(self)
        self.quiet = asyncio.Event()
        self._deadline: Callable[[], float] = time.monotonic

    async def open(self, context: ssl.SSLContext | None, seconds: float) -> None:
        assert context is None
        self.connection_made(self.transport)

    @property
    def patience(self) -> float:
        """Seconds that the server would wait now."""
        return self._deadline() - time.monotonic()

    async def listen(self, take: Callable[[bytes], bool], deadline: Callable[[], float]) -> bool:
        self._deadline = deadline
        self.quiet.set()
        try:
            return await super().listen(take, deadline)
        finally:
            self.quiet.clear()  # before anybody saw it, where there is something to hear already

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._listener is not None and self._listener.listens:
            self.quiet.set()  # it was answered at once

    def run_out_of_patience(self) -> None:
        assert self._listener is not None
        self._listener.done.set_exception(TimeoutError())


class MemoryClient:
    """Implements Client: no clock, no waiting, the same order of events each time."""

    def __init__(self, gateway: Gateway) -> None:
        self._wire = _Wire(gateway.address)
        self._transport = self._wire.transport
        session = gateway.session(self._wire.peer)
        conversation = Conversation(self._wire, session, PATIENCE, _no_tls, gateway.events.append)
        self._task = asyncio.get_running_loop().create_task(conversation.run(None))
        self._task.add_done_callback(lambda _: self._wire.quiet.set())

    async def say(self, octets: bytes) -> None:
        await self._settle()
        if not self._task.done():
            self._wire.quiet.clear()
            self._wire.data_received(octets)

    async def hear(self, enough: Callable[[bytes], bool]) -> bytes:
        await self._settle()
        said = bytes(self._transport.written)
        self._transport.written.clear()
        return said

    async def ended(self, wait: float) -> str:
        await self._settle()
        return self._transport.end

    async def start_tls(self) -> None:
        raise NotImplementedError("TLS needs a socket")

    async def stop_sending(self) -> None:
        self._wire.quiet.clear()
        if not self._wire.eof_received():
            self._transport.close()

    async def be_silent(self, seconds: float) -> None:
        await self._settle()
        if seconds >= self._wire.patience and not self._task.done():
            self._wire.quiet.clear()
            self._wire.run_out_of_patience()

    async def vanish(self) -> None:
        self._transport.lose()
        async with asyncio.timeout(TOO_LONG):
            await self._task

    async def _settle(self) -> None:
        async with asyncio.timeout(TOO_LONG):
            await self._wire.quiet.wait()


class SocketClient:
    """Implements Client, by asyncio's streams."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, trusted: ssl.SSLContext
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._trusted = trusted
        self._end = ""

    async def say(self, octets: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(octets)
            await self._writer.drain()
        await asyncio.sleep(0)

    async def hear(self, enough: Callable[[bytes], bool]) -> bytes:
        said = b""
        async with asyncio.timeout(TOO_LONG):
            while not self._end and not enough(said):
                said += await self._read()
        return said

    async def ended(self, wait: float) -> str:
        said = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not self._end:
                    said += await self._read()
        return f"says {said!r}" if said else self._end

    async def _read(self) -> bytes:
        try:
            octets = await self._reader.read(65_536)
        except OSError:  # TLS's own errors are among them
            self._end = "aborts"
            return b""
        if not octets:
            self._end = "closes"
        return octets

    async def start_tls(self) -> None:
        async with asyncio.timeout(TOO_LONG):
            await self._writer.start_tls(self._trusted, server_hostname=HOST)

    async def stop_sending(self) -> None:
        self._writer.write_eof()

    async def be_silent(self, seconds: float) -> None:
        raise NotImplementedError("nobody waits so long")

    async def vanish(self) -> None:
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class MemoryDoor:
    """Where clients connect, in memory."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def connect(self) -> Client:
        return MemoryClient(self._gateway)

    async def close(self) -> None:
        pass


class SocketDoor:
    """Where clients connect, on loopback; the session is told the address that the case gives."""

    def __init__(self, gateway: Gateway, certificates: Certificates) -> None:
        self._gateway = gateway
        self._trusted = ssl.create_default_context(cafile=certificates.ca_file)
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(certificates.cert_file, certificates.key_file)
        site = Site(LOOPBACK, 0, gateway.offer.implicit_tls)
        self._connections = Connections(100, 100)
        self._listener = Listener(
            site, lambda: serving, self._session, self._connections, PATIENCE, gateway.events.append
        )
        self._port = 0

    def _session(self, _: Peer) -> Session:
        address = self._gateway.address
        return self._gateway.session(Peer(address, ip_address(address).is_loopback))

    async def connect(self) -> Client:
        if not self._port:
            self._port = self._listener.start().port
        tls = self._trusted if self._gateway.offer.implicit_tls else None
        host = HOST if tls else None
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port, ssl=tls, server_hostname=host)
        return SocketClient(reader, writer, self._trusted)

    async def close(self) -> None:
        self._listener.stop_accepting()
        async with asyncio.timeout(TOO_LONG):
            while len(self._connections):  # noqa: ASYNC110 - the real thing has no event to wait for
                await asyncio.sleep(0.001)
        await self._listener.end_conversations(TOO_LONG)


def _no_tls() -> ssl.SSLContext:
    raise NotImplementedError("TLS needs a socket")
