"""The POP3 client's end of a connection, in memory: it says all that it has to say, and takes whatever comes.

With an event loop that makes such connections, so that the wire is the real one.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from random import Random
from typing import Any, cast

from gateway.pop3 import Connection
from gateway.pop3.connection import LINE_LIMIT
from gateway.ports import Peer
from gateway.server.wire import RECEIVE_OCTETS, Wire
from tests.fuzz.bugs import Bug, demand
from tests.fuzz.packets import packet_octets

SECONDS = 20.0  # nothing here waits: what takes longer hangs
TURNS = (0, 0, 1, 3)  # of the event loop, between two packets
ADDRESSES = {True: "127.0.0.1", False: "192.0.2.1"}  # by whether it is on loopback


class NearEnd(asyncio.Transport):
    """watch() the connection that reads what it says: of a line without an end it must not hold it all."""

    def __init__(self, octets: bytes, random: Random, *, loopback: bool) -> None:
        super().__init__()
        self.told: list[bytes] = []
        self.tls_began_at: list[int] = []  # octets that had come in clear
        self.wire = Wire(cast("socket.socket", _NoSocket()), Peer(ADDRESSES[loopback], loopback))
        self._reader = Connection()
        self._octets, self._said = octets, 0
        self._random, self._packet = random, packet_octets(octets, random)
        self._listened_to = True
        self._closed = False

    def run(self, conversation: Callable[[Wire], Any]) -> Any:
        """To the conversation's end."""

        async def talk() -> Any:
            speaking = asyncio.create_task(self._speak())
            try:
                async with asyncio.timeout(SECONDS):
                    return await conversation(self.wire)
            except TimeoutError:
                if speaking.done():
                    speaking.result()  # raises what it found
                raise Bug("it hangs: the client has said all, and waits") from None
            finally:
                speaking.cancel()

        with asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(talk())

    async def _speak(self) -> None:
        while self._said < len(self._octets) and not self._closed:
            for _ in range(self._random.choice(TURNS)):
                await asyncio.sleep(0)
            if not self._listened_to:
                await asyncio.sleep(0)
            elif not self._closed:
                begin = self._said
                self._said = begin + self._random.randint(1, self._packet)
                self.wire.data_received(self._octets[begin : self._said])
                held = self._reader._buffer
                unfinished = len(held) - held.rfind(b"\n") - 1
                most = (
                    LINE_LIMIT + RECEIVE_OCTETS + self._packet
                )  # the wire's and the last packet, handed on at once
                demand(unfinished <= most, f"{unfinished} octets of a line are held")
        if not self._closed:
            self.wire.eof_received()

    def watch(self, reader: Connection) -> None:
        self._reader = reader

    def begin_tls(self) -> None:
        self.tls_began_at.append(min(self._said, len(self._octets)))
        self._listened_to = True

    # asyncio's transport

    def write(self, data: Any) -> None:
        self.told.append(bytes(data))
        if not self._random.randrange(8):
            self.wire.pause_writing()
            asyncio.get_running_loop().call_soon(self.wire.resume_writing)

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self._listened_to = False

    def resume_reading(self) -> None:
        self._listened_to = True

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self.wire.connection_lost, None)

    abort = close


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, client: NearEnd) -> None:
        super().__init__()
        self._client = client

    async def connect_accepted_socket(self, protocol_factory: Any, sock: Any, **_: Any) -> Any:
        self._client.wire.connection_made(self._client)
        return self._client, self._client.wire

    async def start_tls(self, transport: Any, protocol: Any, sslcontext: ssl.SSLContext, **_: Any) -> Any:
        self._client.begin_tls()
        return transport


class _NoSocket:
    def setsockopt(self, *_: int) -> None:
        pass
