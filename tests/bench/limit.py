"""The limit: the same work over IMAP itself, by a client that keeps, pipelines and asks once."""

import socket
import time
from types import TracebackType

from tests.bench.client import BUFFER_OCTETS, PASSWORD, Address, connect
from tests.bench.mail import Mailbox

_TAIL_OCTETS = 2000  # a tagged answer is shorter; that to LOGIN lists what the server can


class Imap:
    """Logged in when it is made; a command's answer is read to its end and counted."""

    def __init__(self, address: Address, mailbox: Mailbox) -> None:
        self._socket: socket.socket = connect(address)
        self._buffer = bytearray(BUFFER_OCTETS)
        self._number = 0
        self._socket.recv(4096)
        self.ask(f"LOGIN {mailbox.user()} {PASSWORD}")

    def __enter__(self) -> "Imap":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, command: str) -> int:
        self._number += 1
        tag = b"x%d" % self._number
        self._socket.sendall(tag + b" " + command.encode() + b"\r\n")
        return self.end_of(tag)

    def append(self, messages: list[bytes]) -> None:
        """All in one command (RFC 3502, RFC 7888)."""
        self._socket.sendall(b"a APPEND INBOX")
        for octets in messages:
            self._socket.sendall(b" {%d+}\r\n%b" % (len(octets), octets))
        self._socket.sendall(b"\r\n")
        self.end_of(b"a")

    def end_of(self, tag: bytes) -> int:
        """Octets up to the tagged OK, which is the last thing to come."""
        total, tail, view = 0, b"", memoryview(self._buffer)
        while True:
            count = self._socket.recv_into(self._buffer)
            if not count:
                raise EOFError("the upstream hung up")
            total += count
            tail = (tail + bytes(view[max(0, count - _TAIL_OCTETS) : count]))[-_TAIL_OCTETS:]
            start = max(tail.rfind(b"\r\n" + tag + b" "), 0 if tail.startswith(tag + b" ") else -1)
            if start >= 0 and tail.endswith(b"\r\n"):
                if not tail[start:].lstrip().startswith(tag + b" OK"):
                    raise ValueError(tail[start:].decode(errors="replace"))
                return total


def poll(address: Address, mailbox: Mailbox, times: int) -> float:
    """Polls a second: a connection that is kept, and a SELECT each time."""
    with Imap(address, mailbox) as imap:
        begin = time.perf_counter()
        for _ in range(times):
            imap.ask("SELECT INBOX")
        return times / (time.perf_counter() - begin)


def retrieve(address: Address, mailbox: Mailbox, count: int) -> float:
    """Messages a second: one FETCH of them all."""
    with Imap(address, mailbox) as imap:
        imap.ask("SELECT INBOX")
        begin = time.perf_counter()
        imap.ask(f"FETCH 1:{count} (UID BODY.PEEK[])")
        return count / (time.perf_counter() - begin)


def transfer(address: Address, mailbox: Mailbox, count: int) -> float:
    """Megabytes a second: one FETCH of them all."""
    with Imap(address, mailbox) as imap:
        imap.ask("SELECT INBOX")
        begin = time.perf_counter()
        octets = imap.ask(f"FETCH 1:{count} (UID BODY.PEEK[])")
        return octets / 1e6 / (time.perf_counter() - begin)


def open_cold(address: Address, mailbox: Mailbox, _: int) -> float:
    """Seconds: connect, LOGIN, SELECT, and one FETCH of all UIDs and sizes."""
    begin = time.perf_counter()
    with Imap(address, mailbox) as imap:
        imap.ask("SELECT INBOX")
        imap.ask("UID FETCH 1:* (RFC822.SIZE)")
        return time.perf_counter() - begin


def open_warm(address: Address, mailbox: Mailbox, _: int) -> float:
    """Seconds: connect, LOGIN, SELECT; the rest is known."""
    begin = time.perf_counter()
    with Imap(address, mailbox) as imap:
        imap.ask("SELECT INBOX")
        return time.perf_counter() - begin


def fill(address: Address, mailbox: Mailbox, batch_octets: int = 4_000_000) -> None:
    """Put the messages there, if the mailbox is empty."""
    with Imap(address, mailbox) as imap:
        batch: list[bytes] = []
        held = 0
        for octets in mailbox.messages():
            batch.append(octets)
            held += len(octets)
            if held >= batch_octets or len(batch) >= 1000:
                imap.append(batch)
                batch, held = [], 0
        if batch:
            imap.append(batch)
