"""The one-shot listener: which answer it takes, from whom, and that it is gone afterwards."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from gateway.cli.sign_in import listener
from gateway.cli.sign_in.answer import fault
from gateway.cli.sign_in.listener import Place, listening, place
from gateway.errors import CannotListen
from gateway.oauth import SignIn
from gateway.sasl import Secret

STATE = "AbC-123_x"
YES = f"?code=SplxlOBeZQQYbYS6WxSbIA&state={STATE}"
NO = f"?error=access_denied&state={STATE}"


def begun(where: Place) -> Callable[[str], str]:
    sign_in = SignIn("https://provider.example/authorize", STATE, Secret("verifier"), where.redirect_uri)
    return lambda text: fault(text, sign_in)


@pytest.fixture
def here() -> Iterator[Place]:
    with place("", "127.0.0.1") as where:
        yield where


async def asked(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as browser:
        return await browser.get(url)


async def test_the_answer_is_taken_and_the_browser_told_that_it_may_go(here: Place) -> None:
    async with listening(here, begun(here)) as answer:
        page = await asked(here.redirect_uri + "/" + YES)
        assert await answer == here.redirect_uri + YES
    assert page.status_code == 200
    assert "You can close this window" in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    with pytest.raises(httpx.ConnectError):
        await asked(here.redirect_uri)


async def test_a_no_is_an_answer_too(here: Place) -> None:
    async with listening(here, begun(here)) as answer:
        page = await asked(here.redirect_uri + NO)
        assert await answer == here.redirect_uri + NO
    assert "did not let the gateway in" in page.text


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/favicon.ico", 404),
        ("/other" + YES, 404),
        ("/", 400),
        ("/?code=x", 400),
        ("/?code=x&state=another", 400),
        (f"/?state={STATE}", 400),
        (f"/?code=x&state=another&state={STATE}", 400),
        ("/?code=x&state=%C3%A4%00", 400),
    ],
)
async def test_what_is_not_the_answer_is_turned_away_and_waited_on(here: Place, target: str, status: int) -> None:
    async with listening(here, begun(here)) as answer:
        assert (await asked(here.redirect_uri + target)).status_code == status
        assert not answer.done()
        await asked(here.redirect_uri + YES)
        assert (await answer).endswith(YES)


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
async def test_only_get_brings_an_answer(here: Place, method: str) -> None:
    async with listening(here, begun(here)) as answer, httpx.AsyncClient(trust_env=False) as browser:
        assert (await browser.request(method, here.redirect_uri + YES)).status_code == 404
        assert not answer.done()


@pytest.mark.parametrize(
    "said", [b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n" * 4000, b"\r\n\r\n", b"GET\r\n\r\n"]
)
async def test_a_client_that_says_nothing_or_nonsense_stands_in_nobodys_way(here: Place, said: bytes) -> None:
    """Browsers open connections that they may need."""
    async with listening(here, begun(here)) as answer:
        silent = [await asyncio.open_connection("127.0.0.1", port_of(here)) for _ in range(3)]
        for _, writer in silent:
            writer.write(said)
        await asked(here.redirect_uri + YES)
        assert await answer
        for _, writer in silent:
            writer.close()


async def test_whoever_holds_connections_open_does_not_keep_the_browser_out(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any process of this machine may; the one that has waited longest makes room."""
    monkeypatch.setattr(listener, "CONNECTIONS", 2)
    monkeypatch.setattr(listener, "PATIENCE_SECONDS", 1000.0)
    async with listening(here, begun(here)) as answer:
        opened = [await asyncio.open_connection("127.0.0.1", port_of(here)) for _ in range(3)]
        assert await opened[0][0].read() == b""
        assert (await asked(here.redirect_uri + YES)).status_code == 200
        assert await answer
        for _, writer in opened:
            writer.close()


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        taken = place(f"http://localhost:{port}/done", "127.0.0.1")
        with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{port}: .*choose another --redirect-uri"):
            taken.__enter__()


def test_localhost_is_listened_on_by_both_its_addresses() -> None:
    with place("", "localhost") as where:
        port = port_of(where)
        assert where.redirect_uri == f"http://localhost:{port}"
        assert {each.getsockname()[:2] for each in where.sockets} == {("127.0.0.1", port), ("::1", port)}


@pytest.mark.parametrize(
    "uri",
    [
        "https://localhost:8443/",
        "https://pop3.example.com/done",
        "com.example.mail:/back",
        "urn:ietf:wg:oauth:2.0:oob",
    ],
)
def test_where_we_are_not_nobody_listens(uri: str) -> None:
    with place(uri, "127.0.0.1") as where:
        assert where == Place(uri)


async def test_a_registered_path_is_kept() -> None:
    with place("http://127.0.0.1:0/back", "127.0.0.1") as where:
        url = f"http://127.0.0.1:{port_of(where)}/back"
        async with listening(where, begun(where)) as answer:
            assert (await asked(url + YES)).status_code == 200
            assert (await answer).endswith("/back" + YES)


def port_of(where: Place) -> int:
    port: int = where.sockets[0].getsockname()[1]
    return port
