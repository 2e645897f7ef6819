"""A blocking, buffered connection to an IMAP server, shared by IMAPClient and by our own FETCH reader.

Both read through one buffer, so neither can take octets that the other needs. Every wait has a deadline.
Used from one worker thread at a time; only abort() may be called from another.
"""

import contextlib
import errno
import math
import select
import socket
import ssl
import struct
import time

from gateway.imap.tls import Trust
from gateway.ports import Endpoint, TlsMode

RECEIVE_OCTETS = 65_536  # asked of the socket where only a line is wanted
BLOCK_OCTETS = 262_144  # of a body at a time: the most that a session holds of a message
LINE_LIMIT = 65_536  # of a response line without its literals; RFC 7162 section 4 asks for 8,192 of commands
LITERAL_LIMIT = 1_048_576  # of a literal that is held whole; bodies never are
UNASKED_OCTETS = 65_536  # of what a server may say while nobody asks; more is no news, but a flood
SOCKET_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # An idle connection keeps its place in NAT tables, and one whose server vanished is found out in two minutes.
    # Not TCP_USER_TIMEOUT: every exchange has its deadline, and here it would make one lost probe fatal.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # for SO_LINGER, which is a struct of two ints: on, and no seconds


class Transport:
    """`allow()` before each exchange says how long it may take."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.held = bytearray()  # received, and not taken yet
        self.aborted = False
        self.unanswered = 0  # commands of our own reader's whose tagged line has not come
        self.activity = 0  # grows with what we send, and with what the server says unasked
        self._commands = 0
        self._deadline = math.inf
        self._final = math.inf
        self._first_by = math.inf

    @classmethod
    def connect(cls, endpoint: Endpoint, trust: Trust, seconds: float) -> "Transport":
        """Try the host's addresses in turn, within `seconds` in all. Raises OSError."""
        end = time.monotonic() + seconds
        failure: OSError | None = None
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        for tried, (family, kind, protocol, _, address) in enumerate(found):
            sock = socket.socket(family, kind, protocol)
            try:
                # A share for each: one address that swallows packets leaves time for the others.
                sock.settimeout(max((end - time.monotonic()) / (len(found) - tried), 0.001))
                sock.connect(address)
                for level, option, value in SOCKET_OPTIONS:
                    sock.setsockopt(level, option, value)
                if endpoint.tls is TlsMode.IMPLICIT:
                    sock = trust.shake_hands(sock, endpoint)
                return cls(sock)
            except OSError as error:
                sock.close()
                failure = error
        raise failure or OSError(f"{endpoint.host} has no address")

    def start_tls(self, trust: Trust, endpoint: Endpoint) -> None:
        """After STARTTLS was accepted. What the server sent behind its OK came in clear: that is an attack."""
        if self.held:
            raise ConnectionError("the server sent data in clear behind its answer to STARTTLS")
        self.socket.settimeout(self._left())
        self.socket = trust.shake_hands(self.socket, endpoint)

    def new_tag(self) -> bytes:
        """For a command of our own reader's, which owes an answer from now on; IMAPClient's tags look different.
        Never the same one twice: an answer to an earlier command must not pass for the answer to this one.
        """
        self._commands += 1
        self.unanswered += 1
        return b"GW%d" % self._commands

    def allow(self, seconds: float) -> None:
        """From now on reads and writes may take this long together."""
        self._deadline = min(time.monotonic() + seconds, self._final)

    def end_by(self, seconds: float) -> None:
        """From now on no allow() reaches further than this; math.inf lifts the bound."""
        self._final = time.monotonic() + seconds

    def expect_within(self, seconds: float) -> None:
        """Something must come in this time, however much the whole exchange is allowed."""
        self._first_by = time.monotonic() + seconds

    def send(self, octets: bytes) -> None:
        self.activity += 1
        self.socket.settimeout(self._left())
        try:
            self.socket.sendall(octets)
        except TimeoutError as error:
            _tell_dead_from_slow(error)
            raise
        # Courier writes an answer in pieces and waits for our acknowledgement of each, which Linux would delay.
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def send_now(self, octets: bytes) -> bytes:
        """Without waiting; returns what is still to be sent."""
        self.activity += 1
        self.socket.setblocking(False)
        try:
            return octets[self.socket.send(octets) :]
        except _NOT_NOW:
            return octets

    def receive_now(self) -> bool:
        """Hold what is here, without waiting; False at the end of the stream."""
        if self.socket.gettimeout() != 0:
            self.socket.setblocking(False)
        try:
            part = self.socket.recv(RECEIVE_OCTETS)
        except _NOT_NOW:
            return True
        self.held += part
        return bool(part)

    def receive(self) -> bool:
        """Wait until something came, and hold it; False at the end of the stream."""
        part = self._receive(RECEIVE_OCTETS)
        self.held += part
        return bool(part)

    def readline(self, limit: int = LINE_LIMIT) -> bytes:
        """A line with its CRLF; b"" at the end of the stream. Raises ConnectionError over the limit."""
        searched = 0
        while (end := self.held.find(b"\n", searched)) < 0:
            searched = len(self.held)
            if searched > limit:
                raise ConnectionError(f"the server sent a line of more than {limit} octets")
            if not self.receive():
                return b""
        if end > limit:
            raise ConnectionError(f"the server sent a line of more than {limit} octets")
        return self.take(end + 1)

    def read_lines(self) -> bytes:
        """All whole lines that are here, at least one; b"" at the end of the stream."""
        if b"\n" not in self.held:
            line = self.readline()
            return line + self.read_lines() if line and b"\n" in self.held else line
        return self.take(self.held.rfind(b"\n") + 1)

    def read(self, octets: int) -> bytes:
        """Exactly so many octets, for a literal that is held whole. Raises ConnectionError if it is too large."""
        if octets > LITERAL_LIMIT:
            raise ConnectionError(f"the server announced a literal of {octets} octets where none is expected")
        while len(self.held) < octets:
            if not self.receive():
                raise ConnectionError("the server closed the connection within a literal")
        return self.take(octets)

    def read_some(self, most: int) -> bytes:
        """Up to `most` octets: what is here, or what comes next. The end of the stream is a ConnectionError."""
        parts = [self.take(min(most, len(self.held)))] if self.held else []
        have = sum(map(len, parts))
        while have < most and (not have or self._more_is_here()):
            part = self._receive(most - have)
            if not part:
                if have:
                    break
                raise ConnectionError("the server closed the connection within a message")
            parts.append(part)
            have += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take(self, octets: int) -> bytes:
        """Of what is held."""
        taken = bytes(self.held[:octets])
        del self.held[:octets]
        return taken

    def drop(self, octets: int) -> None:
        """Of what is held."""
        del self.held[:octets]

    def unread(self, octets: bytes) -> None:
        """Put back what was taken last."""
        self.held[:0] = octets

    def unasked(self) -> bytes:
        """What has come since the last answer, without waiting for more. OSError where the connection is over."""
        self.socket.setblocking(False)
        with contextlib.suppress(*_NOT_NOW):  # it was a TLS ticket, or half a record
            while len(self.held) <= UNASKED_OCTETS and self._more_is_here():
                part = self.socket.recv(RECEIVE_OCTETS)
                if not part:
                    raise ConnectionError("the server closed the connection")
                self.held += part
        self.activity += bool(self.held)
        return self.take(len(self.held))

    def shrink(self) -> None:
        """Give back the memory of a buffer that was large once."""
        self.held = bytearray(self.held)

    def abort(self) -> None:
        """From any thread: wake whoever waits on this connection, with an error. It is still to be closed."""
        self.aborted = True
        with contextlib.suppress(OSError):
            # After shutdown() Linux tells the server no more that there is room again: its send() of the rest of a
            # large message would hang for a minute after our close(), which is a connection fewer for the account.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            # Not SSLSocket.shutdown, which would drop the TLS layer under the reader's feet.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self.held.clear()
        self.socket.close()

    def _receive(self, most: int) -> bytes:
        self.socket.settimeout(self._left())
        try:
            part = self.socket.recv(most)
        except TimeoutError as error:
            _tell_dead_from_slow(error)
            raise
        self._first_by = math.inf
        return part

    def _more_is_here(self) -> bool:
        """Whether a read would not wait: larger blocks mean fewer crossings between threads."""
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def _left(self) -> float:
        if self._deadline is math.inf:
            raise AssertionError("allow() comes before reading and writing")
        left = min(self._deadline, self._first_by) - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for this exchange is over")
        return left


def _tell_dead_from_slow(error: TimeoutError) -> None:
    """Python's own time-outs have no errno. The system's ETIMEDOUT says that nothing is acknowledged any more: the
    connection is lost, and another one may be had at once.
    """
    if error.errno == errno.ETIMEDOUT:
        raise ConnectionAbortedError(error.errno, str(error)) from error
