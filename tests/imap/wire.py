"""Transports without a server: octets from a list, or from the far end of a socket pair."""

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence

from gateway.errors import GatewayError
from gateway.imap.bodies import BodyReader
from gateway.imap.faults import translated
from gateway.imap.transport import Transport

SECONDS = 20.0  # for an exchange that must not wait at all


class Scripted(Transport):
    """Gives these pieces one by one, as if each were a packet, then the end of the stream."""

    def __init__(self, *pieces: bytes) -> None:
        near, far = socket.socketpair()
        super().__init__(near)
        far.close()
        near.close()
        self.sent = b""
        self._pieces = [piece for piece in pieces if piece]
        self.allow(SECONDS)

    def send(self, octets: bytes) -> None:
        self.sent += octets

    def send_now(self, octets: bytes) -> bytes:
        self.sent += octets
        return b""

    def receive_now(self) -> bool:
        return self.receive()

    def _receive(self, most: int) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if piece[most:]:
            self._pieces.insert(0, piece[most:])
        return piece[:most]

    def _more_is_here(self) -> bool:
        return False


@contextlib.contextmanager
def far_end(*octets: bytes) -> Iterator[Transport]:
    """A socket whose far end sends these octets, and no more; it listens on, or what we send would fail."""
    near, far = socket.socketpair()

    def feed() -> None:
        with far, contextlib.suppress(OSError):
            far.sendall(b"".join(octets))
            far.shutdown(socket.SHUT_WR)
            while far.recv(65_536):
                pass

    feeder = threading.Thread(target=feed)
    feeder.start()
    transport = Transport(near)
    transport.allow(SECONDS)
    try:
        yield transport
    finally:
        near.close()
        feeder.join()


def cut(octets: bytes, cuts: Iterable[int]) -> list[bytes]:
    """In pieces, with a boundary at each of these places."""
    places = sorted(cuts)
    return [octets[begin:end] for begin, end in zip([0, *places], [*places, len(octets)], strict=True)]


def every_cut(octets: bytes) -> Iterator[list[bytes]]:
    """In two pieces, at each place there is; then octet by octet."""
    for at in range(1, len(octets)):
        yield [octets[:at], octets[at:]]
    yield [octets[at : at + 1] for at in range(len(octets))]


def message(pieces: Sequence[bytes], *, uid: int = 7, listed: int = 5, octets: int | None = None) -> bytes:
    """What a BodyReader makes of an answer."""
    with translated("fetching"):
        return read_all(BodyReader(Scripted(*pieces), uid, listed, octets))


def read_all(reader: BodyReader) -> bytes:
    parts = [reader.open()]
    while not reader.finished:
        parts.append(reader.read())
    return b"".join(parts)


def outcome(pieces: Sequence[bytes]) -> bytes | type[GatewayError]:
    """The message, or the error's class."""
    try:
        return message(pieces)
    except GatewayError as error:
        return type(error)
