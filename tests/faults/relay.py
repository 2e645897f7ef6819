"""A relay before an upstream, which slows, stalls and cuts what goes through it, just where a test says."""

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

PIECE_OCTETS = 65_536
TAIL_OCTETS = 1024  # a pattern may span so much of what was forwarded already
END_SECONDS = 5.0

Way = Enum("Way", "UP DOWN")  # to the server, to its client
Point = Enum("Point", "BEFORE WITHIN AFTER")  # what the fault is looking for: how much of it still passes
End = Enum("End", "FIN RST STALL")  # how the connection ends; RST is towards the client, the server gets a FIN


@dataclass(eq=False, slots=True)
class Fault:
    """Where a connection breaks, and how."""

    way: Way
    at: bytes | int  # a regular expression, or so many octets of the connection
    point: Point = Point.BEFORE
    end: End = End.FIN
    since: bytes = b""  # only when the client's latest flight has this in it
    times: int | None = 1  # None: every connection
    struck: int = field(default=0, init=False)

    def place(self, before: int, tail: bytes, piece: bytes, flight: bytes) -> int | None:
        """How much of the piece passes, or None for all of it and what follows."""
        if self.times is not None and self.struck >= self.times:
            return None
        if isinstance(self.at, int):
            return self.at - before if before <= self.at < before + len(piece) else None
        if not re.search(self.since, flight, re.DOTALL):
            return None
        for match in re.finditer(self.at, tail + piece, re.DOTALL):
            if match.end() > len(tail):
                start, end = match.span()
                ends = {Point.BEFORE: start, Point.WITHIN: (start + end) // 2, Point.AFTER: end}
                return max(0, ends[self.point] - len(tail))
        return None


class Relay:
    """Listens on 127.0.0.1 at `port`. What is set or armed holds for connections that are open, too."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.upstream = (host, port)
        self.latency = 0.0  # seconds, each way
        self.bandwidth = 0  # octets a second, each way; 0: as fast as it goes
        self.refuse = False  # new connections are closed at once
        self.faults: list[Fault] = []
        self.octets = {Way.UP: 0, Way.DOWN: 0}  # received, whether forwarded or not
        self.connections = 0
        self.flights = 0  # times that a client began to speak: round trips that it waited for
        self._loop = asyncio.new_event_loop()
        self._open: set[_Connection] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def arm(self, fault: Fault) -> Fault:
        self.faults = [*self.faults, fault]
        return fault

    def heal(self) -> None:
        """No faults for what comes; a connection that stalls goes on stalling."""
        self.faults, self.latency, self.bandwidth, self.refuse = [], 0.0, 0, False

    def forget(self) -> None:
        """What has been so far is not counted."""
        self.connections = self.flights = 0

    def cut(self, end: End = End.FIN) -> None:
        """All connections, now."""

        async def cut_all() -> None:
            for connection in list(self._open):
                connection.end(end)

        self._do(cut_all())

    def stop(self) -> None:
        async def close() -> None:
            self._server.close()
            for connection in list(self._open):
                connection.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others, timeout=END_SECONDS / 2)
            await asyncio.sleep(0)  # transports close their sockets in the loop's next round

        self._do(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_SECONDS)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(END_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.refuse:
                raise ConnectionRefusedError
            server_reader, server_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.close()
            return
        connection = _Connection(self, writer, server_writer)
        self._open.add(connection)
        try:
            pumps = connection.pump(Way.UP, reader), connection.pump(Way.DOWN, server_reader)
            await asyncio.gather(*pumps)
            await connection.flush()
        finally:
            self._open.discard(connection)
            connection.close()


class _Connection:
    def __init__(self, relay: Relay, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._relay = relay
        self._to = {Way.UP: server, Way.DOWN: client}
        self._passed = {Way.UP: 0, Way.DOWN: 0}
        self._tail = {Way.UP: b"", Way.DOWN: b""}
        self._due = {Way.UP: 0.0, Way.DOWN: 0.0}
        self._flight = b""  # what the client said since it last heard something
        self._client_spoke_last = False
        self._ended: End | None = None

    async def pump(self, way: Way, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE_OCTETS):
                self._relay.octets[way] += len(piece)
                if self._ended is None:
                    await self._forward(way, piece)
        if self._ended is None:
            self._later(way, lambda: _finish(self._to[way]))
        elif way is Way.UP:  # the client gave up a connection that stalled
            self.close()

    def end(self, end: End) -> None:
        self._ended = end
        if end is not End.STALL:
            self._later(Way.UP, lambda: _finish(self._to[Way.UP]))
            self._later(Way.DOWN, lambda: (_finish if end is End.FIN else _reset)(self._to[Way.DOWN]))

    async def flush(self) -> None:
        """What is on its way arrives, before the connection is closed."""
        await asyncio.sleep(max(self._due.values()) - asyncio.get_running_loop().time())
        for writer in self._to.values():
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()

    def close(self) -> None:
        for writer in self._to.values():
            if not writer.is_closing():
                writer.transport.abort()

    async def _forward(self, way: Way, piece: bytes) -> None:
        self._hear(way, piece)
        found = [
            (place, fault)
            for fault in self._relay.faults
            if fault.way is way
            and (place := fault.place(self._passed[way], self._tail[way], piece, self._flight)) is not None
        ]
        place, fault = min(found, key=lambda pair: pair[0], default=(len(piece), None))
        self._passed[way] += place
        self._tail[way] = (self._tail[way] + piece)[-TAIL_OCTETS:]
        if self._relay.bandwidth:
            await asyncio.sleep(place / self._relay.bandwidth)
        if place:
            self._later(way, lambda: self._to[way].write(piece[:place]))
        if fault is not None and self._ended is None:
            fault.struck += 1
            self.end(fault.end)

    def _hear(self, way: Way, piece: bytes) -> None:
        if way is Way.DOWN:
            self._client_spoke_last = False
            return
        if not self._client_spoke_last:
            self._client_spoke_last = True
            self._relay.flights += 1
            self._flight = self._tail[Way.DOWN] = b""
        self._flight += piece

    def _later(self, way: Way, action: Callable[[], object]) -> None:
        """In order, `latency` seconds from now."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._relay.latency and self._due[way] <= now:
            action()
            return
        self._due[way] = max(self._due[way] + 1e-5, now + self._relay.latency)
        loop.call_at(self._due[way], action)


def _finish(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
