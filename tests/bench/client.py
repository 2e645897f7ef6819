"""A blocking POP3 client that does as little as it can: what it costs is counted against everybody."""

import socket
import ssl
from dataclasses import dataclass
from types import TracebackType

HOST = "127.0.0.1"
PASSWORD = "secret"
SECONDS = 300.0
BUFFER_OCTETS = 1 << 20
_END = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    tls: bool = False


def _any_certificate() -> ssl.SSLContext:
    """Verifying is the client's own work, and would be the same for all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_TLS = _any_certificate()
_BUFFER = bytearray(BUFFER_OCTETS)  # one client at a time reads; those that only wait have nothing to read


class Refused(Exception):
    """The server said -ERR, or nothing."""


def connect(address: Address, source: str = "") -> socket.socket:
    """`source`: an address of this machine to come from."""
    plain = socket.create_connection(
        (address.host, address.port), SECONDS, source_address=(source, 0) if source else None
    )
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _TLS.wrap_socket(plain) if address.tls else plain


class Pop3:
    """Greeted when it is made."""

    def __init__(self, address: Address, source: str = "") -> None:
        self._socket = connect(address, source)
        self._view = memoryview(_BUFFER)
        self._line()

    def __enter__(self) -> "Pop3":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Without QUIT."""
        self._socket.close()

    def log_in(self, user: str) -> None:
        self.ask(b"USER %b\r\n" % user.encode())
        self.ask(b"PASS %b\r\n" % PASSWORD.encode())

    def ask(self, command: bytes) -> bytes:
        """A command with its CRLF, and the reply's line."""
        self._socket.sendall(command)
        return self._line()

    def stat(self) -> int:
        """How many messages there are."""
        return int(self.ask(b"STAT\r\n").split()[1])

    def octets(self, command: bytes) -> int:
        """How many octets the multi-line reply has, as they came over the wire."""
        self._socket.sendall(command)
        receive, buffer, view = self._socket.recv_into, _BUFFER, self._view
        total = received = receive(view)
        if buffer[:1] != b"+":
            raise Refused(bytes(view[:received]))
        tail = b""
        while True:
            if received >= len(_END):
                tail = bytes(view[received - len(_END) : received])
            else:
                tail = (tail + bytes(view[:received]))[-len(_END) :]
            if tail == _END:
                return total
            received = receive(view)
            if not received:
                raise Refused("the connection ended in a reply")
            total += received

    def reply(self, command: bytes) -> bytes:
        """The multi-line reply itself, dots still stuffed."""
        self._socket.sendall(command)
        text = bytearray()
        while not text.endswith(_END):
            piece = self._socket.recv(BUFFER_OCTETS)
            if not piece or not text.startswith(b"+"[: len(text)]):
                raise Refused(bytes(text[:200]))
            text += piece
        return bytes(text)

    def quit(self) -> None:
        self.ask(b"QUIT\r\n")
        self._socket.close()

    def _line(self) -> bytes:
        """Replies of one line come when nothing else is on its way."""
        text = self._socket.recv(4096)
        while not text.endswith(b"\r\n"):
            piece = self._socket.recv(4096)
            if not piece:
                raise Refused(text)
            text += piece
        if not text.startswith(b"+"):
            raise Refused(text)
        return text
