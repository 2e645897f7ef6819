"""A service as nginx's mail proxy asks it: it keeps what it was asked, octet for octet, and answers as told."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Self

ADDRESS = "127.0.0.1"
Headers = list[tuple[str, bytes]]


def answer(*headers: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.0 {status}\r\n{''.join(f'{header}{chr(13)}{chr(10)}' for header in headers)}\r\n".encode()


def leads_to(host: str, port: int, *more: str) -> bytes:
    return answer("Auth-Status: OK", f"Auth-Server: {host}", f"Auth-Port: {port}", *more)


class AuthService:
    """`reply` is what everybody gets: octets, or what speaks with a connection itself once it has asked."""

    def __init__(self) -> None:
        self.requests: list[Headers] = []
        self.lines: list[bytes] = []  # the first of each request
        self.reply: bytes | Callable[[socket.socket], None] = answer("Auth-Status: Invalid login or password")
        service = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                service._take(self)

        self._server = socketserver.ThreadingTCPServer((ADDRESS, 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"http://{ADDRESS}:{self.port}/auth"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def asked(self) -> dict[str, bytes]:
        """The last request's headers, their names in small letters."""
        return {name.lower(): value for name, value in self.requests[-1]}

    def _take(self, handler: socketserver.StreamRequestHandler) -> None:
        first = handler.rfile.readline()
        if not first:
            return
        headers: Headers = []
        while (line := handler.rfile.readline().removesuffix(b"\r\n")) != b"":
            name, _, value = line.partition(b":")
            headers.append((name.decode("ascii"), value.removeprefix(b" ")))
        self.lines.append(first)
        self.requests.append(headers)
        with contextlib.suppress(OSError):
            if callable(self.reply):
                self.reply(handler.connection)
            else:
                handler.wfile.write(self.reply)
