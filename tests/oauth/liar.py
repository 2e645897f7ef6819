"""A web server that answers as it is told, for what no authorization server can be made to say."""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import parse_qs

ADDRESS = "127.0.0.1"
Reply = bytes | Callable[[socket.socket], object]


def answer(body: Any, status: str = "200 OK", *headers: str) -> bytes:
    """`body`: octets as they are, anything else as JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(octets)}", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + octets


class Liar:
    """`reply` is what everybody gets, or `replies` by path; `forms` is what was posted."""

    def __init__(self) -> None:
        self.reply: Reply = answer({})
        self.replies: dict[str, Reply] = {}
        self.forms: list[dict[str, str]] = []
        self.paths: list[str] = []
        liar = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                liar._take(self)

        self._server = socketserver.ThreadingTCPServer((ADDRESS, 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"http://{ADDRESS}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, handler: socketserver.StreamRequestHandler) -> None:
        path = handler.rfile.readline().split()[1].decode()
        length = 0
        while (line := handler.rfile.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        form = parse_qs(handler.rfile.read(length).decode(), keep_blank_values=True)
        self.paths.append(path)
        self.forms.append({name: values[0] for name, values in form.items()})
        reply = self.replies.get(path, self.reply)
        with contextlib.suppress(OSError):
            if callable(reply):
                reply(handler.connection)
            else:
                handler.wfile.write(reply)
