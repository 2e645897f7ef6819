"""A service that speaks nginx's mail auth_http: what it is asked, and what its answers do."""

import socket
import time
import traceback
from collections.abc import Iterator

import pytest

from gateway.errors import BadCredentials, LookupFailed
from gateway.ports import Peer
from gateway.routes import routes as rooms
from tests.routes.conftest import Guide, MakeGuide
from tests.servers.auth_service import AuthService, answer, leads_to
from tests.servers.machine import free_ports


@pytest.fixture
def service() -> Iterator[AuthService]:
    with AuthService() as running:
        running.reply = leads_to("192.0.2.1", 993)
        yield running


@pytest.fixture
def asking(guide: MakeGuide, service: AuthService) -> Guide:
    return guide({"http": service.url})


async def test_it_is_asked_in_headers(asking: Guide, service: AuthService) -> None:
    await asking.find("ann@example.org", "a b%c", Peer("192.0.2.7", encrypted=True, attempt=2))
    assert service.lines == [b"GET /auth HTTP/1.1\r\n"]
    assert {name: value for name, value in service.asked.items() if name.startswith(("auth", "client"))} == {
        "auth-method": b"plain",
        "auth-user": b"ann@example.org",
        "auth-pass": b"a%20b%25c",
        "auth-protocol": b"imap",
        "auth-login-attempt": b"2",
        "client-ip": b"192.0.2.7",
        "auth-ssl": b"on",
    }


async def test_no_password_can_forge_a_header(asking: Guide, service: AuthService) -> None:
    await asking.find("ann", " x\r\nAuth-User: eve\r\n\r\n\0\x7fé")
    assert service.asked["auth-user"] == b"ann"
    assert service.asked["auth-pass"] == b"%20x%0D%0AAuth-User:%20eve%0D%0A%0D%0A%00%7F" + "é".encode()


@pytest.mark.parametrize("size", [1, 1000, 60_000])
async def test_a_long_password_arrives(asking: Guide, service: AuthService, size: int) -> None:
    await asking.find("ann", "é" * size)
    assert service.asked["auth-pass"] == "é".encode() * size


@pytest.mark.parametrize(
    ("reply", "led"),
    [
        (leads_to("192.0.2.1", 993), "ann at 192.0.2.1:993"),
        (leads_to("192.0.2.1", 143), "ann at 192.0.2.1:143"),
        (leads_to("::1", 143), "ann at ::1:143"),
        (leads_to("imap.example.org", 1143), "ann at imap.example.org:1143"),
        (leads_to("192.0.2.1", 993, "Auth-User: ann@new"), "ann@new at 192.0.2.1:993"),
        (leads_to("192.0.2.1", 993, "Auth-User: änn"), "änn at 192.0.2.1:993"),
        (leads_to("192.0.2.1", 993, "Content-Length: 3") + b"abc", "ann at 192.0.2.1:993"),
        (leads_to("192.0.2.1", 993).replace(b"Auth-", b"aUTH-"), "ann at 192.0.2.1:993"),
    ],
)
async def test_it_says_where_a_name_goes(asking: Guide, service: AuthService, reply: bytes, led: str) -> None:
    service.reply = reply
    assert await asking.leads("ann") == led


async def test_it_may_say_the_password_there(asking: Guide, service: AuthService) -> None:
    service.reply = leads_to("192.0.2.1", 993, "Auth-Pass: the mailbox's own %41")
    assert (await asking.find("ann")).claim.secret.reveal() == "the mailbox's own %41"


async def test_the_upstream_may_have_a_name_for_the_address(guide: MakeGuide, service: AuthService) -> None:
    routes = guide({"http": service.url, "upstream": "imaps://imap.example.org:{port}"})
    assert await routes.leads("ann") == "ann at imap.example.org:993"


async def test_whom_it_refuses_reads_its_words(asking: Guide, service: AuthService) -> None:
    service.reply = answer("Auth-Status: Invalid login, \x01or password", "Auth-Wait: 3")
    with pytest.raises(BadCredentials) as refused:
        await asking.find("ann")
    assert refused.value.reply == "Invalid login,  or password"
    assert str(refused.value) == "routes[1].http: Invalid login,  or password"


@pytest.mark.parametrize("status", ["401 No", "403 No", "404 No"])
async def test_as_with_nginx_the_status_of_a_refusal_does_not_matter(
    asking: Guide, service: AuthService, status: str
) -> None:
    service.reply = answer("Auth-Status: no", status=status)
    with pytest.raises(BadCredentials):
        await asking.find("ann")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer("Auth-Status: OK", "Auth-Server: 192.0.2.1", status="500 Oops"), "status 500"),
        (answer(status="200 OK"), "no Auth-Status"),
        (answer("Auth-Status: OK"), "without Auth-Server and Auth-Port"),
        (answer("Auth-Status: OK", "Auth-Server: 192.0.2.1"), "without Auth-Server and Auth-Port"),
        (answer("Auth-Status: WAIT", "Auth-Wait: 3"), "it says WAIT"),
        (leads_to("imaps://192.0.2.1", 993), "is no host in the answer"),
        (leads_to("192.0.2.1/x", 993), "is no host in the answer"),
        (leads_to("192.0.2.1", 0), "'0' is no port in the answer"),
        (b"nonsense\r\n\r\n", "illegal status line"),
        (b"", "disconnected"),
        (answer("Auth-Status: OK\r\n" + "X: " + "x" * 2_000_000), "routes"),
    ],
)
async def test_what_it_cannot_have_meant_ends_the_login(
    asking: Guide, service: AuthService, reply: bytes, said: str
) -> None:
    service.reply = reply
    with pytest.raises(LookupFailed, match=said):
        await asking.find("ann")


async def test_an_answer_that_is_no_http_is_not_quoted(asking: Guide, service: AuthService) -> None:
    service.reply = answer("Auth-Status: OK", "Auth-Server: 192.0.2.1", "Auth-Port: 993", "Auth-Pass: hunter2\0")
    with pytest.raises(LookupFailed, match="illegal header line: …") as failed:
        await asking.find("ann")
    assert "hunter2" not in "".join(traceback.format_exception(failed.value))


async def test_a_redirect_is_not_followed_with_the_password(asking: Guide, service: AuthService) -> None:
    with AuthService() as elsewhere:
        elsewhere.reply = leads_to("192.0.2.66", 993)
        service.reply = answer(f"Location: {elsewhere.url}", "Auth-Status: OK", status="302 Found")
        with pytest.raises(LookupFailed, match="status 302"):
            await asking.find("ann")
        assert elsewhere.requests == []


async def test_of_a_body_without_end_nothing_is_read(asking: Guide, service: AuthService) -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(leads_to("192.0.2.1", 993))
        while True:
            connection.sendall(b"x" * 65536)
            sent += 65536

    service.reply = flood
    assert await asking.leads("ann") == "ann at 192.0.2.1:993"
    assert sent < 100_000_000


async def test_one_that_never_answers_ends_the_login(
    asking: Guide, service: AuthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "LOOK_UP_SECONDS", 0.3)

    def drip(connection: socket.socket) -> None:
        for octet in leads_to("192.0.2.1", 993):
            connection.sendall(bytes([octet]))
            time.sleep(0.1)

    service.reply = drip
    with pytest.raises(LookupFailed, match=r"routes\[1\]: no answer in"):
        await asking.find("ann")


async def test_one_that_is_not_there_ends_the_login(guide: MakeGuide) -> None:
    [port] = free_ports("127.0.0.1", 1)
    with pytest.raises(LookupFailed, match=r"routes\[1\]\.http: http://127\.0\.0\.1:.*failed"):
        await guide({"http": f"http://127.0.0.1:{port}/"}).find("ann")


async def test_it_is_asked_about_names_of_its_form_only(guide: MakeGuide, service: AuthService) -> None:
    routes = guide({"match": "{user}@example.org", "http": service.url})
    assert await routes.leads("ann") == "ann at usual:993"
    assert service.requests == []


async def test_a_token_is_nothing_that_it_could_be_asked_about(asking: Guide, service: AuthService) -> None:
    with pytest.raises(BadCredentials):
        await asking.find_for_token("ann")
    assert service.requests == []


async def test_no_proxy_of_the_environment_gets_the_password(
    asking: Guide, service: AuthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AuthService() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await asking.find("ann")
        assert proxy.requests == []
