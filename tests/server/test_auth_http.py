"""The service that a real nginx asks is asked the same by the gateway, and answers both."""

import base64
import imaplib
import poplib
from collections.abc import Callable, Iterator

import pytest

from tests.gateway_process import StartGateway
from tests.servers.auth_service import AuthService, Headers, answer, leads_to
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.nginx import KEY, Nginx

pytestmark = pytest.mark.pass_through
MAIL = b"Subject: one\r\n\r\n"
# What HTTP/1.1 wants, and what an HTTP library says of itself. nginx leaves the port out of Host.
NOT_COMPARED = {"host", "connection", "accept", "accept-encoding", "user-agent"}


@pytest.fixture
def service() -> Iterator[AuthService]:
    with AuthService() as running:
        yield running


@pytest.fixture
def nginx(service: AuthService) -> Iterator[Nginx]:
    with Nginx(service.url.removeprefix("http://")) as running:
        yield running


def compared(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in NOT_COMPARED]


def by_nginx(nginx: Nginx, user: str, password: str) -> None:
    """Over IMAP, which is what the gateway looks for."""
    client = imaplib.IMAP4("127.0.0.1", nginx.imap_port)
    try:
        client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
    except imaplib.IMAP4.error:
        pass
    finally:
        client.shutdown()


def by_gateway(port: int, user: str, password: str) -> None:
    client = poplib.POP3("127.0.0.1", port)
    try:
        client._shortcmd("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())  # type: ignore[attr-defined]
    except poplib.error_proto:
        pass
    finally:
        client.close()


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("ann", "secret"),
        ("ann@example.org", "a b%c&d=e+f/g?h"),
        ("änn", " pässwörd "),
        ("ann", "x\r\nAuth-User: eve"),
        ("ann", "\t\x01\x1f\"'\\{}"),
        ("ann", "名" * 50),
    ],
)
def test_both_ask_the_same_header_by_header(
    start_gateway: StartGateway, dovecot: Dovecot, service: AuthService, nginx: Nginx, user: str, password: str
) -> None:
    gateway = start_gateway(dovecot, routes=[{"http": service.url, "headers": {"X-Auth-Key": KEY}}])
    asking: list[Callable[[], None]] = [
        lambda: by_nginx(nginx, user, password),
        lambda: by_gateway(gateway.port, user, password),
    ]
    for ask in asking:
        ask()
    nginxs, ours = map(compared, service.requests)
    assert ours == nginxs
    assert KEY not in gateway.raw_log
    assert [line.split()[:2] for line in service.lines] == [[b"GET", b"/auth"]] * 2


def test_both_lead_to_the_same_mailbox(
    start_gateway: StartGateway, dovecot: Dovecot, service: AuthService, nginx: Nginx
) -> None:
    mailbox = new_mailbox(dovecot)
    mailbox.deliver([MAIL])
    upstream = f"imap://{{host}}:{{port}}?ca_file={dovecot.ca_file}"
    gateway = start_gateway(dovecot, routes=[{"http": service.url, "upstream": upstream}])
    login = (f"Auth-User: {mailbox.user}", f"Auth-Pass: {mailbox.password}")
    service.reply = leads_to("127.0.0.1", dovecot.imap_port, *login)
    imap = imaplib.IMAP4("127.0.0.1", nginx.imap_port)
    imap.login("ann", "hers")
    assert imap.select()[1] == [b"1"]
    imap.logout()
    pop3 = poplib.POP3("127.0.0.1", gateway.port)
    pop3.user("ann")
    pop3.pass_("hers")
    assert pop3.stat() == (1, len(MAIL))
    pop3.quit()


def test_both_show_the_service_s_words(
    start_gateway: StartGateway, dovecot: Dovecot, service: AuthService, nginx: Nginx
) -> None:
    gateway = start_gateway(dovecot, routes=[{"http": service.url}])
    service.reply = answer("Auth-Status: Pay your bill", "Auth-Wait: 1")
    said = [refused(port, Mailbox(dovecot, "ann", "secret")) for port in (nginx.pop3_port, gateway.port)]
    assert said == ["-ERR Pay your bill", "-ERR [AUTH] Pay your bill"]


def refused(port: int, mailbox: Mailbox) -> str:
    client = poplib.POP3("127.0.0.1", port)
    client.user(mailbox.user)
    with pytest.raises(poplib.error_proto) as error:
        client.pass_(mailbox.password)
    client.close()
    return str(error.value.args[0], "ascii")
