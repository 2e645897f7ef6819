"""The end of a redirect URI on this machine (RFC 8252 section 7.3): it takes one answer, and is gone."""

import asyncio
import contextlib
import html
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from gateway.cli.sign_in.answer import ANSWER_OCTETS, is_yes
from gateway.errors import CannotListen

LOOPBACK = {"127.0.0.1": ("127.0.0.1",), "localhost": ("127.0.0.1", "::1"), "::1": ("::1",)}
CONNECTIONS = 20  # browsers open some that they say nothing on; beyond these, who has waited longest makes room
PATIENCE_SECONDS = 10.0  # for a request, and for its answer to be taken

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>pop3-gateway</title>
<style>body {{ font: 1.1em/1.5 sans-serif; max-width: 34em; margin: 15vh auto; padding: 0 1em }}</style>
<h1>{title}</h1>
<p>{text}</p>
</html>
"""
_SAFE = (
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control: no-store",
    "Referrer-Policy: no-referrer",  # the address of this page has the code in it
    "Connection: close",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer comes to; `sockets` are listening already, so that no browser can be too early."""

    redirect_uri: str
    sockets: tuple[socket.socket, ...] = ()  # none: to a place that is not ours; a person brings it


@contextlib.contextmanager
def place(redirect_uri: str, loopback: str) -> Iterator[Place]:
    """`redirect_uri`, or where that is "" one to a free port of `loopback`. Raises CannotListen."""
    url = urlsplit(redirect_uri or f"http://{loopback}:0")
    host = url.hostname or ""
    if url.scheme != "http" or host not in LOOPBACK:
        yield Place(redirect_uri)
        return
    sockets = _listen(LOOPBACK[host], 80 if url.port is None else url.port)
    try:
        yield Place(redirect_uri or f"http://{url.hostname}:{sockets[0].getsockname()[1]}", tuple(sockets))
    finally:
        for each in sockets:
            each.close()


def _listen(addresses: tuple[str, ...], port: int) -> list[socket.socket]:
    """At the same port of all of them. Raises CannotListen where it cannot be the first one's."""
    first, *others = addresses
    try:
        sockets = [_bound(first, port)]
    except OSError as error:
        raise CannotListen(
            f"{first}:{port}: {error.strerror}; the browser's answer is to come there: end what listens there, "
            "or choose another --redirect-uri"
        ) from error
    for address in others:
        with contextlib.suppress(OSError):  # no IPv6 here
            sockets.append(_bound(address, sockets[0].getsockname()[1]))
    return sockets


def _bound(address: str, port: int) -> socket.socket:
    return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)


@contextlib.asynccontextmanager
async def listening(where: Place, fault: Callable[[str], str]) -> AsyncIterator[asyncio.Future[str]]:
    """Gives the address that a browser was sent to, as soon as `fault` finds none with it."""
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    clients = _Clients(where.redirect_uri, fault, answer)
    servers = [await asyncio.start_server(clients.come, sock=each, limit=ANSWER_OCTETS) for each in where.sockets]
    try:
        yield answer
    finally:
        for server in servers:
            server.close()
        await clients.leave()


class _Clients:
    """Browsers, and whoever else is on this machine."""

    def __init__(self, redirect_uri: str, fault: Callable[[str], str], answer: asyncio.Future[str]) -> None:
        self._path = urlsplit(redirect_uri).path or "/"
        self._redirect_uri = redirect_uri
        self._fault = fault
        self._answer = answer
        self._served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}  # in the order in which they came

    def come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._served) >= CONNECTIONS:  # whoever is on this machine must not keep the browser out
            self._served.pop(next(iter(self._served))).transport.abort()
        task = asyncio.create_task(self._serve(reader, writer))
        self._served[task] = writer
        task.add_done_callback(lambda _: self._served.pop(task, None))

    async def leave(self) -> None:
        remaining = list(self._served)
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = ""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                page, address = self._answered(await reader.readuntil(b"\r\n\r\n"))
                writer.write(page)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # TimeoutError is an OSError, too
        finally:
            writer.transport.abort()
            if address and not self._answer.done():
                self._answer.set_result(address)

    def _answered(self, head: bytes) -> tuple[bytes, str]:
        """The page, and the address where it is the answer."""
        method, _, rest = head.partition(b" ")
        target = rest.partition(b" ")[0].decode("ascii", "replace")
        path, _, query = target.partition("?")
        if method != b"GET" or path != self._path:
            return _page(HTTPStatus.NOT_FOUND, "Not found", "There is nothing here but the end of a sign-in."), ""
        address = f"{self._redirect_uri}?{query}"
        if self._fault(address):
            text = (
                "This is not the answer that the gateway waits for. Use the address that it shows in the terminal."
            )
            return _page(HTTPStatus.BAD_REQUEST, "Not this one", text), ""
        if is_yes(address):
            text = "The gateway has the answer. You can close this window and go back to the terminal."
            return _page(HTTPStatus.OK, "Thank you", text), address
        text = "The provider did not let the gateway in. The terminal says why; you can close this window."
        return _page(HTTPStatus.OK, "Not signed in", text), address


def _page(status: HTTPStatus, title: str, text: str) -> bytes:
    body = _PAGE.format(title=html.escape(title), text=html.escape(text)).encode()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        *_SAFE,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii") + body
