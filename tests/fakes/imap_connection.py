"""One client's connection to the fake server: octets in and out, records, and where faults take hold."""

import contextlib
import re
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes import imap_login, imap_mail
from tests.fakes.imap_session import Session, Verbs
from tests.fakes.imap_store import Site
from tests.fakes.imap_wire import CRLF, Command, Counts, Ending, Reply, Row

_LITERAL_AT_END = re.compile(rb"\{(\d+)(\+?)\}\Z")
_BLOCK = 65_536
_LINGER_SECONDS = 0.2
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault happens."""

    connection: "Connection"
    command: Command
    uids: frozenset[int] | None = None  # the messages that it is about; None: all

    def picks(self, row: Row) -> bool:
        return self.uids is None or row.uid in self.uids


class Fault:
    """A misbehaviour; those that exist are in ``tests/fakes/faults.py``."""

    def __repr__(self) -> str:
        """The same in every process: it names tests."""
        return f"{type(self).__name__}({', '.join(map(str, vars(self).values()))})"

    def before(self, scene: Scene) -> bool:
        """Ahead of the command; False: the command is not done."""
        return True

    def alter(self, reply: Reply, scene: Scene) -> None:
        """Ahead of the answer, which is empty when the command was not done."""


Plan = Callable[[str, "Connection", Command], list[tuple[Fault, Scene]]]


class _Gone(Exception):
    """The connection is over."""


class _Aborted(Exception):
    """The command that the client was about to complete is not wanted any more."""


class Connection:
    """A client's connection, served in a thread of its own."""

    def __init__(self, number: int, sock: socket.socket, site: Site, plan: Plan, *, tls: bool) -> None:
        self.number = number  # the first is 1
        self.log: list[Command] = []
        self.session = Session(site, Verbs(imap_login.VERBS | imap_mail.VERBS))
        self.session.start_tls = self._handshake
        self.closed = threading.Event()
        self._sock = sock
        self._site = site
        self._plan = plan
        self._implicit_tls = tls
        self._ended = threading.Event()
        self._writing = threading.RLock()
        self._io = threading.Lock()  # an SSL object serves one thread at a time
        self._buffer = bytearray()
        self._line = bytearray()  # the command being read
        self._held = bytearray()  # tagged lines that wait for the end of the flight
        self._fresh = False  # nothing of the present flight was counted yet
        self._resets = False
        self._stalled = False
        self._mute = False  # nobody hears us any more
        self._flights = self._continuations = self._octets_in = self._octets_out = 0
        self._thread = threading.Thread(target=self._run, name=f"fake-imap-{number}", daemon=True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # For tests and faults

    @property
    def user(self) -> str | None:
        return self.session.user

    @property
    def secure(self) -> bool:
        return self.session.secure

    @property
    def verbs(self) -> list[str]:
        return [command.verb for command in self.log]

    @property
    def counts(self) -> Counts:
        return Counts(1, len(self.log), self._flights, self._continuations, self._octets_in, self._octets_out)

    def push(self, *lines: bytes) -> None:
        """Send untagged lines now, whether or not the client asked for anything."""
        with self._writing:
            self._put(b"".join(line + CRLF for line in lines))

    def pause(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            raise _Gone

    def wait_for(self, event: threading.Event) -> None:
        while not event.wait(0.01):
            self.pause(0)

    def cut(self, *, reset: bool = False) -> None:
        """End the connection now, from another thread."""
        self._resets = reset
        self._ended.set()
        with contextlib.suppress(OSError):
            # SSLSocket's own shutdown would forget the TLS state that the other thread is using.
            socket.socket.shutdown(self._sock, socket.SHUT_RD if reset else socket.SHUT_RDWR)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Whether it is over within this time; a hook's own thread need not wait for itself."""
        return self._thread is threading.current_thread() or self.closed.wait(seconds)

    # One command after another

    def _run(self) -> None:
        try:
            if self._implicit_tls:
                self._handshake()
            greeting = Command("*", "GREETING", b"", b"")
            self._answer("GREETING", greeting, lambda: Reply("*", [self.session.greeting()]))
            while True:
                with contextlib.suppress(_Aborted):
                    self._serve()
        except (_Gone, OSError):
            pass
        finally:
            self._close()

    def _serve(self) -> None:
        line, bad = self._read_command()
        command = Command.parse(line)
        self._record(command)
        if self._stalled:
            return
        if bad:
            self._answer("BAD", command, lambda: Reply(command.tag or "*", tagged=bad))
        else:
            self._answer(command.verb, command, lambda: self.session.execute(command, self._ask))

    def _record(self, command: Command) -> None:
        self.log.append(command)
        self._site.log.append(command)
        if self._fresh:
            self._flights += 1
            self._fresh = False

    def _answer(self, verb: str, command: Command, do: Callable[[], Reply]) -> Reply:
        faults = self._plan(verb, self, command)
        wanted = [fault.before(scene) for fault, scene in faults]
        reply = do() if all(wanted) else Reply(command.tag)
        for fault, scene in faults:
            fault.alter(reply, scene)
        self._send(reply)
        return reply

    def _invite(self) -> None:
        """Ask for the literal that the line read so far ends in."""
        command = Command.parse(bytes(self._line))
        try:
            self._go_ahead(command)
        except _Aborted:
            self._record(command)
            raise

    def _ask(self, challenge: bytes) -> bytes:
        """Tell the client to go on, and hear what it says."""
        self._go_ahead(self.log[-1], challenge)
        line = self._read_line()
        self._fresh = False  # this flight is counted as a continuation
        return line

    def _go_ahead(self, command: Command, challenge: bytes = b"") -> None:
        self._continuations += 1
        reply = self._answer("+", command, lambda: Reply(command.tag, [b"+ " + challenge]))
        if reply.tagged is not None or self._stalled:
            raise _Aborted

    # Out

    def _send(self, reply: Reply) -> None:
        with self._writing:
            self.pause(reply.delay)
            pending = bytearray()
            for chunk in reply.chunks():
                if self._mute:
                    break
                if reply.rate is not None:
                    self._trickle(chunk, reply.rate)
                elif len(pending) + len(chunk) < _BLOCK:
                    pending += chunk
                else:
                    self._put(bytes(pending))
                    self._put(chunk)
                    pending.clear()
            self._put(bytes(pending))
            self._held += reply.last_line() * reply.tag_last
        if reply.deafens:
            self._buffer.clear()
        self._end(reply.ending)
        if reply.then is not None:
            reply.then()

    def _trickle(self, octets: bytes, rate: int) -> None:
        size = max(1, rate // 50)
        for at in range(0, len(octets), size):
            self._put(octets[at : at + size])
            self.pause(size / rate)

    def _put(self, octets: bytes) -> None:
        """What the client sent before it left is done all the same, so a broken pipe ends nothing."""
        if octets and not self._mute:
            self._octets_out += len(octets)
            try:
                with self._io:
                    self._sock.sendall(octets)
            except OSError:
                self._mute = True

    def _end(self, ending: Ending) -> None:
        if ending is Ending.STALL:
            self._stalled = True
        elif ending is not Ending.STAY:
            self._resets = ending is Ending.RESET
            raise _Gone

    # In

    def _read_command(self) -> tuple[bytes, bytes]:
        """A command with its literals, and the BAD that it deserves, if it does."""
        self._line.clear()
        written, limit = 0, self._site.settings.max_line
        while True:
            part = self._read_line()
            written += len(part)
            self._line += part
            literal = _LITERAL_AT_END.search(part)
            if part.endswith(b"\r") or written > limit:
                return bytes(self._line), b"BAD bare LF" if part.endswith(b"\r") else b"BAD line too long"
            if literal is None or (literal[2] and not self.session.has("LITERAL+")):
                break
            if not literal[2] and not self._stalled:
                self._invite()
            self._line += CRLF + self._read_octets(int(literal[1]))
        line = bytes(self._line)
        self._line.clear()
        return line, b""

    def _read_line(self) -> bytes:
        """Without its CRLF; after a bare LF it ends in CR, which no proper line does."""
        at = 0
        while (end := self._buffer.find(b"\n", at)) < 0:
            at = len(self._buffer)
            self._fill()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line[:-1] if line.endswith(b"\r") else line + b"\r"

    def _read_octets(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        octets = bytes(self._buffer[:count])
        del self._buffer[:count]
        return octets

    def _fill(self) -> None:
        """Wait for the client; take all that it has sent by then, or within the latency."""
        with self._writing:
            self._put(bytes(self._held))
            self._held.clear()
        begins = not self._buffer and not self._line
        if not self._receive():
            raise _Gone
        if self._site.settings.latency:
            self.pause(self._site.settings.latency)
        while self._readable(0) and self._receive():
            pass
        self._fresh = self._fresh or begins

    def _readable(self, milliseconds: int | None) -> bool:
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(milliseconds))

    def _receive(self) -> bool:
        """False: the client sends no more."""
        self._readable(None)
        with self._io:
            octets = self._sock.recv(_BLOCK)
        self.pause(0)
        self._octets_in += len(octets)
        self._buffer += octets
        return bool(octets)

    # Begin and end

    def _handshake(self) -> None:
        self._answer("TLS", Command("", "TLS", b"", b""), lambda: Reply(""))
        while self._stalled:
            if not self._receive():
                raise _Gone
        assert self._site.tls is not None
        sock = self._site.tls.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        self._sock = sock
        self.pause(0)
        sock.do_handshake()
        self.session.secure = True

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            if self._resets:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            else:
                self._leave()
        self._sock.close()
        self.closed.set()

    def _leave(self) -> None:
        """Close so that the client gets all we sent: closing with unread input would send RST instead."""
        socket.socket.shutdown(self._sock, socket.SHUT_WR)
        self._sock.settimeout(_LINGER_SECONDS)
        deadline = time.monotonic() + _LINGER_SECONDS
        while time.monotonic() < deadline and self._sock.recv(_BLOCK):
            pass
