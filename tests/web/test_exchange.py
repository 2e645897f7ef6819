"""What a stranger may use up of the page's HTTP server."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.server.sockets import Site
from gateway.telemetry.events import ConnectionRefused, Crashed, Event, PageServed
from gateway.web import exchange, server
from gateway.web.message import Reply, Request
from gateway.web.server import WebServer

ANY = Site("127.0.0.1", 0, implicit_tls=False, protocol="http")
REQUEST = b"GET /x?y=z HTTP/1.1\r\nHost: h\r\n\r\n"

PIECES = [
    *(b"GET /x HTTP/1.1\r\n", b"POST /x?y HTTP/1.1\r\n", b"HEAD * HTTP/1.0\r\n", b"Host: h\r\n", b": \r\n"),
    *(b"Content-Length: 3\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n"),
    *(b"Expect: 100-continue\r\n", b"Connection: upgrade\r\n", b"Cookie: ;=;\r\n", b" folded\r\n", b"0\r\n"),
    *(b"\r\n", b"\n", b"\0"),
]

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Open = Callable[..., Awaitable[Stream]]


class Running:
    """A server whose only page tells what it was asked."""

    def __init__(self, **terms: object) -> None:
        self.events: list[Event] = []
        self.asked: list[Request] = []
        self.server = WebServer(ANY, self._page, self.events.append, **terms)  # type: ignore[arg-type]
        self.port = self.server.start().port

    async def connect(self) -> Stream:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, octets: bytes) -> bytes:
        """Send it, and read all that comes."""
        reader, writer = await self.connect()
        writer.write(octets)
        answer = await reader.read()
        writer.close()
        return answer

    async def _page(self, request: Request) -> tuple[str, Reply]:
        self.asked.append(request)
        if request.path == "/bug":
            raise RuntimeError("a bug")
        return "x", Reply(200, b"page")


@pytest.fixture
async def running() -> AsyncIterator[Callable[..., Running]]:
    made: list[Running] = []

    def start(**terms: object) -> Running:
        made.append(Running(**terms))
        return made[-1]

    yield start
    for each in made:
        each.server.stop_accepting()
        await each.server.end(1.0)


Start = Callable[..., Running]


async def test_a_request_is_answered_and_its_connection_ends(running: Start) -> None:
    site = running()
    answer = await site.ask(REQUEST)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\nconnection: close\r\n\r\npage")
    [request] = site.asked
    assert (request.method, request.path, request.query, request.address) == ("GET", "/x", "y=z", "127.0.0.1")


async def test_a_second_request_on_the_connection_is_not_heard(running: Start) -> None:
    site = running()
    assert (await site.ask(REQUEST + REQUEST)).count(b"HTTP/1.1") == 1
    assert len(site.asked) == 1


async def test_to_head_there_is_no_body(running: Start) -> None:
    answer = await running().ask(REQUEST.replace(b"GET", b"HEAD"))
    assert answer.endswith(b"content-length: 4\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 2 * exchange.HEAD_OCTETS + b"\r\n\r\n", b"431"),
        (b"GET /" + b"x" * 2 * exchange.HEAD_OCTETS, b"431"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8193\r\n\r\n" + b"x" * 8193, b"413"),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2001\r\n" + b"x" * 0x2003,
            b"413",
        ),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),  # TLS
        (b"USER alice\r\n\r\n", b"400"),
    ],
    ids=["header", "line", "form", "chunks", "no host", "two lengths", "tls", "pop3"],
)
async def test_what_is_too_large_or_no_http_is_refused_in_words(
    running: Start, octets: bytes, status: bytes
) -> None:
    site = running()
    assert (await site.ask(octets)).split()[1] == status
    assert site.asked == []


async def test_a_connection_that_says_nothing_ends(running: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "REQUEST_SECONDS", 0.1)
    assert await running().ask(b"") == b""


async def test_a_request_that_comes_octet_by_octet_ends(running: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "REQUEST_SECONDS", 0.2)
    site = running()
    reader, writer = await site.connect()
    ended = asyncio.create_task(reader.read())
    while not ended.done():
        writer.write(b"G")
        await asyncio.sleep(0.01)
    assert ended.exception() is not None or ended.result() == b""
    writer.close()
    assert site.asked == []


async def test_whoever_has_sent_no_request_makes_room(running: Start) -> None:
    site = running()
    idle = [await site.connect() for _ in range(server.CONNECTIONS_PER_ADDRESS)]
    assert (await site.ask(REQUEST)).endswith(b"page")
    assert await idle[0][0].read() == b""  # the one that has waited longest
    for _, writer in idle:
        writer.close()


async def test_browsers_come_through_the_proxies_only_where_there_are_any(running: Start) -> None:
    site = running(proxies=[ip_network("10.0.0.0/8")])
    reader, writer = await site.connect()
    assert await reader.read() == b""
    writer.close()
    assert [type(event) for event in site.events] == [ConnectionRefused]


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("10.9.9.9, 192.0.2.1", "192.0.2.1"),  # what the browser itself has written is nobody's
        ("192.0.2.7, 192.0.2.1, 127.0.0.2", "192.0.2.1"),  # two proxies of ours
        ("", "127.0.0.1"),
    ],
)
async def test_a_proxy_says_for_whom_it_comes(running: Start, said: str, address: str) -> None:
    site = running(proxies=[ip_network("127.0.0.0/8")])
    await site.ask(REQUEST.replace(b"Host: h", f"Host: h\r\nX-Forwarded-For: {said}".encode()))
    assert site.asked[0].address == address


async def test_nobody_else_is_believed(running: Start) -> None:
    site = running()
    await site.ask(REQUEST.replace(b"Host: h", b"Host: h\r\nX-Forwarded-For: 192.0.2.1"))
    assert site.asked[0].address == "127.0.0.1"


async def test_headers_that_come_in_several_lines_are_one(running: Start) -> None:
    site = running(proxies=[ip_network("127.0.0.0/8")])
    lines = b"Host: h\r\nCookie: a=1; b=\r\nX-Forwarded-For: 10.9.9.9\r\ncookie: c\r\nX-Forwarded-For: 192.0.2.1"
    await site.ask(REQUEST.replace(b"Host: h", lines))
    assert (site.asked[0].address, site.asked[0].headers["cookie"]) == ("192.0.2.1", "a=1; b=; c")


def test_cookies_of_others_are_no_hindrance() -> None:
    said = 'j={"a": [1, "b"]}; ours=x=y; ours=z; é; =; q="unfinished; last=1'
    request = Request("GET", "/", "", {"cookie": said}, b"", "")
    assert (request.cookies["ours"], request.cookies["last"], request.cookies["q"]) == ("x=y", "1", '"unfinished')


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=12).map(b"".join))
def test_whatever_comes_is_answered_or_ended_and_no_bug(octets: bytes) -> None:
    async def told() -> list[Event]:
        site = Running()
        reader, writer = await site.connect()
        writer.write(octets)
        writer.write_eof()
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()
        site.server.stop_accepting()
        await site.server.end(1.0)
        return site.events

    assert not [event for event in asyncio.run(told()) if isinstance(event, Crashed)]


async def test_a_bug_is_one_answer_and_a_line_in_the_log(running: Start) -> None:
    site = running()
    assert (await site.ask(REQUEST.replace(b"/x", b"/bug"))).split()[1] == b"500"
    assert [type(event) for event in site.events] == [Crashed, PageServed]


async def test_a_browser_that_hangs_up_is_nobodys_business(running: Start) -> None:
    site = running()
    for octets in (b"", b"GET", REQUEST):
        sock = socket.create_connection(("127.0.0.1", site.port))
        sock.sendall(octets)
        sock.close()
    assert (await site.ask(REQUEST)).endswith(b"page")
    assert not [event for event in site.events if isinstance(event, Crashed)]
