"""Real clients, the gateway, a real IMAP server: what is in the mailbox arrives, octet for octet."""

import functools
from pathlib import Path

import pytest

from tests.clients import python
from tests.clients.client import Client, Failed, Remembering, Site, Tls, Trouble
from tests.clients.curl import Curl
from tests.clients.fetchmail import Fetchmail
from tests.clients.gallery import as_sent, differences
from tests.clients.getmail import Getmail
from tests.clients.mpop import Mpop
from tests.clients.python import Python
from tests.servers import tls as authority
from tests.servers.fixtures import Mailbox
from tests.servers.messages import GALLERY, large

CLIENTS: tuple[type[Client], ...] = (Curl, Fetchmail, Getmail, Mpop, Python)
REMEMBERING: tuple[type[Remembering], ...] = (Fetchmail, Getmail, Mpop)

SEEN = frozenset({r"\Seen"})
MANY = 500
LARGE_OCTETS = 30_000_000

each_client = pytest.mark.parametrize("kind", CLIENTS)
each_way = pytest.mark.parametrize(
    ("kind", "tls"),
    [pytest.param(kind, tls, id=f"{kind.__name__}-{tls}") for kind in CLIENTS for tls in kind.ways],
)
each_way_with_tls = pytest.mark.parametrize(
    ("kind", "tls"),
    [
        pytest.param(kind, tls, id=f"{kind.__name__}-{tls}")
        for kind in CLIENTS
        for tls in kind.ways
        if tls != "none"
    ],
)


@each_way
def test_every_message_arrives_and_stays(
    kind: type[Client], tls: Tls, site: Site, mailbox: Mailbox, home: Path
) -> None:
    uids = mailbox.deliver(list(GALLERY.values()))
    client = kind(home)
    expected = [client.as_stored(as_sent(stored.octets)) for stored in mailbox.messages()]
    arrived = client.fetch_all(site, mailbox, tls=tls, delete=False)
    assert differences(arrived, expected) == {}
    assert [(stored.uid, stored.flags) for stored in mailbox.messages()] == [(uid, SEEN) for uid in uids]


@each_client
def test_every_message_arrives_and_goes(kind: type[Client], site: Site, mailbox: Mailbox, home: Path) -> None:
    mailbox.deliver(list(GALLERY.values()))
    client = kind(home)
    expected = [client.as_stored(as_sent(stored.octets)) for stored in mailbox.messages()]
    arrived = client.fetch_all(site, mailbox, tls=kind.ways[1], delete=True)
    assert differences(arrived, expected) == {}
    assert mailbox.messages() == []


@each_client
def test_an_empty_mailbox_is_no_failure(kind: type[Client], site: Site, mailbox: Mailbox, home: Path) -> None:
    assert kind(home).fetch_all(site, mailbox, tls=kind.ways[-1], delete=True) == []


@pytest.mark.parametrize("kind", REMEMBERING)
def test_a_client_knows_what_it_has(kind: type[Remembering], site: Site, mailbox: Mailbox, home: Path) -> None:
    mailbox.deliver([_numbered(n) for n in range(3)])
    client = kind(home)
    assert client.fetch_new(site, mailbox, tls="pop3s") == [client.as_stored(_numbered(n)) for n in range(3)]
    assert client.fetch_new(site, mailbox, tls="pop3s") == []
    mailbox.deliver([_numbered(3)])
    assert client.fetch_new(site, mailbox, tls="pop3s") == [client.as_stored(_numbered(3))]
    assert client.fetch_new(site, mailbox, tls="pop3s") == []
    # Numbers shift between sessions; what names a message does not.
    mailbox.expunge([mailbox.messages()[0].uid])
    assert client.fetch_new(site, mailbox, tls="pop3s") == []
    assert len(mailbox.messages()) == 3


@each_client
def test_many_small_messages(kind: type[Client], site: Site, mailbox: Mailbox, home: Path) -> None:
    mailbox.deliver([_numbered(n) for n in range(MANY)])
    client = kind(home)
    arrived = client.fetch_all(site, mailbox, tls="pop3s", delete=True)
    assert arrived == [client.as_stored(_numbered(n)) for n in range(MANY)]
    assert mailbox.messages() == []


@each_client
def test_a_large_message(kind: type[Client], site: Site, mailbox: Mailbox, home: Path) -> None:
    octets = _large()
    mailbox.deliver([octets])
    client = kind(home)
    (arrived,) = client.fetch_all(site, mailbox, tls="pop3s", delete=True)
    same = arrived == client.as_stored(octets)
    assert same  # pytest's own comparison would take minutes
    assert mailbox.messages() == []


@each_client
def test_a_wrong_password(kind: type[Client], site: Site, mailbox: Mailbox, home: Path) -> None:
    wrong = Mailbox(mailbox.server, mailbox.user, mailbox.password + "!")
    _fails(Trouble.WRONG_PASSWORD, kind(home), site, wrong)


@each_client
def test_the_second_client_at_once(kind: type[Client], site: Site, mailbox: Mailbox, home: Path) -> None:
    mailbox.deliver([_numbered(0)])
    client = kind(home)
    with python.session(site, mailbox):
        _fails(Trouble.IN_USE, client, site, mailbox)
    assert client.fetch_all(site, mailbox, tls="none", delete=True) == [client.as_stored(_numbered(0))]


@pytest.mark.parametrize("kind", [Curl, Fetchmail, Getmail, Mpop, Python])
def test_the_upstream_is_down(kind: type[Client], cut_off_site: Site, mailbox: Mailbox, home: Path) -> None:
    _fails(Trouble.UPSTREAM_DOWN, kind(home), cut_off_site, mailbox)


@each_way_with_tls
def test_a_certificate_that_nobody_vouches_for(
    kind: type[Client], tls: Tls, site: Site, mailbox: Mailbox, home: Path, tmp_path: Path
) -> None:
    stranger = authority.make(tmp_path)
    elsewhere = Site(site.port, site.tls_port, stranger.ca_file)
    with pytest.raises(Failed) as failed:
        kind(home).fetch_all(elsewhere, mailbox, tls=tls, delete=False)
    assert failed.value.status == kind.statuses[Trouble.UNTRUSTED], failed.value.output
    assert "certificate" in failed.value.output.lower()


_SAID = {
    Trouble.WRONG_PASSWORD: "[AUTH]",
    Trouble.IN_USE: "[IN-USE]",
    Trouble.UPSTREAM_DOWN: "[SYS/TEMP]",
}


def _fails(trouble: Trouble, client: Client, site: Site, mailbox: Mailbox) -> None:
    """The client must fail as it does for this, and show the server's reason, at least when it is verbose."""
    with pytest.raises(Failed) as failed:
        client.fetch_all(site, mailbox, tls="none", delete=False)
    assert failed.value.status == client.statuses[trouble], failed.value.output
    assert _SAID[trouble] in failed.value.output


@functools.cache
def _large() -> bytes:
    return large(LARGE_OCTETS)


def _numbered(number: int) -> bytes:
    return b"From: a@example.org\r\nSubject: %d\r\n\r\nThis is number %d.\r\n" % (number, number)
