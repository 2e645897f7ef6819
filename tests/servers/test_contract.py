"""What every server behind the gateway has to do, so that a test may run against any of them."""

import imaplib
import socket
import ssl
from collections.abc import Callable

import pytest

from tests.servers import messages
from tests.servers.clients import imaps, session, trusting
from tests.servers.fixtures import SERVERS, Mailbox, new_mailbox
from tests.servers.messages import CANONICAL, GALLERY
from tests.servers.upstream import Upstream

# No password has NUL, 0x01, TAB, LF or CR: Dovecot refuses these unseen.
NAMES_AND_PASSWORDS = [
    ("plain", "plain"),
    ("With.UPPER@Example.Org", "With UPPER"),
    ("jürgen@exämple.org", "pässwörd € 🙂"),
    ("日本語", "パスワード"),
    ("a space", " leading and trailing "),
    ('quote"back\\slash', 'quote"back\\slash'),
    ("co:lon", "co:lon:{PLAIN}:{SHA}"),
    ("%u %{user} %%", "%w %{password} %%"),
    ("../../etc/passwd", "$HOME `id` '"),
    ("*", "*"),
    ("a{5}", "(){}%*[]"),
    ("x" * 200, "y" * 900),
]


@pytest.fixture
def shows(server_name: str) -> Callable[[bytes], bytes]:
    return SERVERS[server_name].shows


# The octets


@pytest.mark.parametrize("name", GALLERY)
def test_message_comes_back(upstream_mailbox: Mailbox, name: str, shows: Callable[[bytes], bytes]) -> None:
    [uid] = upstream_mailbox.deliver([GALLERY[name]])
    [stored] = upstream_mailbox.messages()
    assert stored.uid == uid
    assert stored.octets == shows(GALLERY[name])


@pytest.mark.parametrize("name", sorted(CANONICAL))
def test_canonical_message_is_never_changed(shows: Callable[[bytes], bytes], name: str) -> None:
    assert shows(GALLERY[name]) == GALLERY[name]


def test_size_is_that_of_the_octets_shown(upstream_mailbox: Mailbox) -> None:
    upstream_mailbox.deliver(list(GALLERY.values()))
    with session(upstream_mailbox) as client:
        lines = client.uid("FETCH", "1:*", "(RFC822.SIZE)")[1]
    sizes = [int(line.split(b"RFC822.SIZE ")[1].split(b" ")[0].rstrip(b")")) for line in lines]
    assert sizes == [len(stored.octets) for stored in upstream_mailbox.messages()]


def test_large_message_comes_back(upstream_mailbox: Mailbox) -> None:
    octets = messages.large(20_000_000)
    upstream_mailbox.deliver([octets])
    [stored] = upstream_mailbox.messages()
    assert stored.octets == octets


# UIDs and flags


def test_new_mailbox_is_empty(upstream_mailbox: Mailbox) -> None:
    assert upstream_mailbox.messages() == []
    assert upstream_mailbox.deliver([]) == []
    assert upstream_mailbox.messages() == []


def test_uids_ascend_in_the_order_of_delivery(upstream_mailbox: Mailbox) -> None:
    octets = [b"Subject: %d\r\n\r\n" % number for number in range(30)]
    uids = [uid for begin in range(0, 30, 3) for uid in upstream_mailbox.deliver(octets[begin : begin + 3])]
    assert uids == sorted(set(uids))
    stored = upstream_mailbox.messages()
    assert [one.uid for one in stored] == uids
    assert [one.octets for one in stored] == octets


def test_ten_thousand_messages(upstream_mailbox: Mailbox) -> None:
    octets = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(10_000)]
    uids = upstream_mailbox.deliver(octets)
    assert uids == sorted(set(uids))
    assert [(one.uid, one.octets) for one in upstream_mailbox.messages()] == list(zip(uids, octets, strict=True))
    upstream_mailbox.flag(uids, r"\Seen")
    upstream_mailbox.expunge(uids[1:])
    [left] = upstream_mailbox.messages()
    assert left.uid == uids[0]
    assert left.flags == {r"\Seen"}


def test_flags_are_added(upstream_mailbox: Mailbox) -> None:
    uids = upstream_mailbox.deliver([b"one\r\n", b"two\r\n", b"three\r\n"])
    upstream_mailbox.flag(uids[:2], r"\Seen")
    upstream_mailbox.flag([uids[1]], r"\Flagged", r"\Answered")
    assert [one.flags for one in upstream_mailbox.messages()] == [
        {r"\Seen"},
        {r"\Seen", r"\Flagged", r"\Answered"},
        set(),
    ]


def test_looking_changes_nothing(upstream_mailbox: Mailbox) -> None:
    upstream_mailbox.deliver([b"one\r\n"])
    first = upstream_mailbox.messages()
    assert upstream_mailbox.messages() == first
    assert first[0].flags == set()


def test_expunge_takes_no_other_message(upstream_mailbox: Mailbox) -> None:
    r"""A message that another client marked \Deleted stays."""
    uids = upstream_mailbox.deliver([b"one\r\n", b"two\r\n", b"three\r\n"])
    upstream_mailbox.flag([uids[2]], r"\Deleted")
    upstream_mailbox.expunge([uids[0]])
    assert [one.uid for one in upstream_mailbox.messages()] == uids[1:]


def test_uid_is_never_used_again(upstream_mailbox: Mailbox) -> None:
    [uid] = upstream_mailbox.deliver([b"one\r\n"])
    upstream_mailbox.expunge([uid])
    assert upstream_mailbox.messages() == []
    [later] = upstream_mailbox.deliver([b"two\r\n"])
    assert later > uid


def test_open_session_sees_what_others_do(upstream_mailbox: Mailbox) -> None:
    uids = upstream_mailbox.deliver([b"one\r\n", b"two\r\n"])
    with session(upstream_mailbox) as client:
        upstream_mailbox.expunge([uids[0]])
        client.noop()
        assert client.response("EXPUNGE") == ("EXPUNGE", [b"1"])
        upstream_mailbox.deliver([b"three\r\n"])
        client.noop()
        assert client.response("EXISTS")[1][-1] == b"2"


def test_uid_validity_stays(upstream_mailbox: Mailbox) -> None:
    before = upstream_mailbox.uid_validity()
    upstream_mailbox.expunge(upstream_mailbox.deliver([b"one\r\n"]))
    assert upstream_mailbox.uid_validity() == before > 0
    with session(upstream_mailbox) as client:
        assert client.response("UIDVALIDITY")[1] == [str(before).encode()]


@pytest.mark.parametrize("folder", ["Archive", "Entwürfe & mehr", 'a "quoted" one'])
def test_folder_is_made_by_a_delivery(upstream_mailbox: Mailbox, folder: str) -> None:
    uids = upstream_mailbox.deliver([b"one\r\n", b"two\r\n"], folder)
    upstream_mailbox.flag(uids, r"\Seen", folder=folder)
    upstream_mailbox.expunge(uids[:1], folder)
    [left] = upstream_mailbox.messages(folder)
    assert left.octets == b"two\r\n"
    assert left.flags == {r"\Seen"}
    assert upstream_mailbox.uid_validity(folder) > 0
    assert upstream_mailbox.messages() == []


# Accounts


@pytest.mark.parametrize(("name", "password"), NAMES_AND_PASSWORDS)
def test_any_name_and_password(upstream: Upstream, name: str, password: str) -> None:
    upstream.add_user(name, password)
    uids = upstream.deliver(name, [name.encode()])
    assert [(one.uid, one.octets) for one in upstream.messages(name)] == [(uids[0], name.encode())]


def test_mailboxes_are_apart(upstream: Upstream) -> None:
    one, two = new_mailbox(upstream), new_mailbox(upstream)
    one.deliver([b"for one\r\n"])
    assert two.messages() == []


@pytest.mark.parametrize("known", [True, False])
def test_wrong_password_is_refused(upstream_mailbox: Mailbox, known: bool) -> None:
    server = upstream_mailbox.server
    name = upstream_mailbox.user if known else f"not-{upstream_mailbox.user}"
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        with pytest.raises(imaplib.IMAP4.error):
            client.login(name, "wrong")
        with pytest.raises(imaplib.IMAP4.error):
            client.login(name, "")


# TLS


def test_implicit_tls(upstream_mailbox: Mailbox) -> None:
    server = upstream_mailbox.server
    with imaps(server, trusting(server)) as client:
        client.login(upstream_mailbox.user, upstream_mailbox.password)


def test_starttls(upstream_mailbox: Mailbox) -> None:
    server = upstream_mailbox.server
    context = trusting(server)
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        client.starttls(context)
        client.login(upstream_mailbox.user, upstream_mailbox.password)


def test_certificate_of_an_authority_that_nobody_knows(upstream: Upstream) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"self-signed certificate|unable to get"):
        imaps(upstream, ssl.create_default_context())


# Start and stop


def test_stopped_server_refuses_connections(own_upstream: Upstream) -> None:
    own_upstream.add_user("user", "secret")
    own_upstream.deliver("user", [b"one\r\n"])
    ports = [port for port in (own_upstream.imap_port, own_upstream.imaps_port) if port is not None]
    for port in ports:
        socket.create_connection((own_upstream.host, port), timeout=10).close()
    own_upstream.stop()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((own_upstream.host, port), timeout=10)
    own_upstream.stop()
