"""A POP3 client that says just what a test wants said, octet for octet."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from tests.servers.fixtures import Mailbox

SECONDS = 30.0


class RawClient:
    """Lines in, lines out. The greeting is read at once."""

    def __init__(
        self,
        port: int,
        *,
        address: str = "127.0.0.1",
        tls: Path | None = None,
        source: str = "",
        header: bytes = b"",
    ) -> None:
        """`tls` is the authority to trust on a pop3s port; `source` the address to come from; `header` is sent
        before anything else, TLS included.
        """
        self.socket = socket.create_connection((address, port), SECONDS, (source, 0) if source else None)
        self.socket.sendall(header)
        if tls is not None:
            self._wrap(tls)
        self._file = self.socket.makefile("rb")
        self.greeting = self.line()

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> bytes:
        """A line without its CRLF; b"" when the connection is closed."""
        return self._file.readline().removesuffix(b"\r\n")

    def ask(self, command: str) -> bytes:
        """A command and the first line of its reply."""
        self.send(command.encode() + b"\r\n")
        return self.line()

    def body(self) -> Iterator[bytes]:
        """The lines of a multi-line reply, unstuffed, with their CRLF. EOFError when it breaks off."""
        while (line := self._file.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                raise EOFError
            yield line.removeprefix(b".")

    def message(self, command: str) -> bytes:
        status = self.ask(command)
        assert status.startswith(b"+OK"), status
        return b"".join(self.body())

    def log_in(self, mailbox: Mailbox) -> bytes:
        assert self.ask(f"USER {mailbox.user}").startswith(b"+OK")
        return self.ask(f"PASS {mailbox.password}")

    def start_tls(self, ca_file: Path) -> None:
        """After the reply to STLS."""
        self._file.close()
        self._wrap(ca_file)
        self._file = self.socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def _wrap(self, ca_file: Path) -> None:
        context = ssl.create_default_context(cafile=str(ca_file))
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
