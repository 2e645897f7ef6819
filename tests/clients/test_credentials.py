"""Names and passwords that programs quote, trim and re-encode: through the client, POP3, the gateway and IMAP."""

from pathlib import Path

import pytest

from tests.clients.client import Client, Site
from tests.clients.curl import Curl
from tests.clients.fetchmail import Fetchmail
from tests.clients.getmail import Getmail
from tests.clients.mpop import Mpop
from tests.clients.python import Python
from tests.servers.fixtures import Mailbox

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"

# What is added to a name, and a password.
AWKWARD: dict[str, tuple[str, str]] = {
    "spaces": ("some {} one", "two  words and more"),
    "edges": (" {} ", "  spaces at both ends  "),
    "quotes": ("o'{}\"", '"it\'s" "quoted"'),
    "backslashes": ("domain\\{}\\", "\\a\\\\n\\"),
    "utf-8": ("jürgen-{}-łódź", "пароль 密码 🙂"),
    "signs": ("#{}%s$HOME", "# ; $HOME %d `id` {} <>&|"),
}


CLIENTS: tuple[type[Client], ...] = (Curl, Fetchmail, Getmail, Mpop, Python)
# Its configuration file has no way to write them.
IMPOSSIBLE = {(Getmail, "edges")}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, id=f"{kind.__name__}-{name}")
        for kind in CLIENTS
        for name in AWKWARD
        if (kind, name) not in IMPOSSIBLE
    ],
)
def test_each_client(kind: type[Client], name: str, site: Site, mailbox: Mailbox, home: Path) -> None:
    """With what it chooses to log in: curl and mpop AUTH PLAIN, the others USER and PASS."""
    awkward = _account(mailbox, name)
    client = kind(home)
    assert client.fetch_all(site, awkward, tls="pop3s", delete=False) == [client.as_stored(MESSAGE)]


@pytest.mark.parametrize("name", AWKWARD)
def test_auth_login(name: str, site: Site, mailbox: Mailbox, home: Path) -> None:
    awkward = _account(mailbox, name)
    assert Curl(home).ask(site, awkward, "1", 'login-options = "AUTH=LOGIN"') == MESSAGE


@pytest.mark.parametrize("name", AWKWARD)
def test_user_and_pass(name: str, site: Site, mailbox: Mailbox, home: Path) -> None:
    awkward = _account(mailbox, name)
    assert Mpop(home).fetch(site, awkward, auth="user")[0] == [MESSAGE]


def _account(mailbox: Mailbox, name: str) -> Mailbox:
    """A new one, with MESSAGE in it."""
    user, password = AWKWARD[name]
    account = Mailbox(mailbox.server, user.format(mailbox.user), password)
    account.server.add_user(account.user, account.password)
    account.deliver([MESSAGE])
    return account
