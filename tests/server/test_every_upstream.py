"""What a POP3 client meets is the same before every IMAP server; a server that differs is named here."""

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.gateway_process import GatewayProcess, StartGateway, settings_for
from tests.server.pop3_client import RawClient
from tests.servers.dovecot import Dovecot, without
from tests.servers.fixtures import Mailbox, new_mailbox, requires
from tests.servers.messages import GALLERY
from tests.servers.tls import Certificates
from tests.servers.upstream import Upstream

MESSAGES = [b"Subject: %d\r\n\r\nbody\r\n.\r\n" % number for number in range(4)]
SIZE = len(MESSAGES[0])

# What it is called over IMAP: Courier has all folders below INBOX.
BIN = {"courier": "INBOX.Bin"}

# Of a message that another client expunged in mid-session, before the server has told us.
STILL_SHOWN = frozenset({"cyrus"})  # once, whole: Cyrus says that it is expunged after it has shown it

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def gateway(
    upstream: Upstream, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """With the settings that most people will have; one for all tests before the same server."""
    folder = tmp_path_factory.mktemp("gateway")
    with GatewayProcess(settings_for(upstream, certificates, folder), folder) as running:
        yield running


@pytest.fixture
def trash(server_name: str, upstream_mailbox: Mailbox) -> str:
    """The name of a folder that is there, and empty."""
    name = BIN.get(server_name, "Bin")
    upstream_mailbox.expunge(upstream_mailbox.deliver([b"made\r\n"], name), name)
    return name


@contextmanager
def session(gateway: GatewayProcess, mailbox: Mailbox) -> Iterator[RawClient]:
    """Logged in; ends with QUIT, which has to succeed."""
    with RawClient(gateway.port) as client:
        reply = client.log_in(mailbox)
        assert reply.startswith(b"+OK"), reply
        yield client
        reply = client.ask("QUIT")
        assert reply.startswith(b"+OK"), reply


def sent(shown: bytes) -> bytes:
    """What POP3 clients get of a message that IMAP shows so: the documented repairs."""
    repaired = re.sub(rb"(?<!\r)\n", b"\r\n", shown).replace(b"\0", b"\x80")
    if repaired.endswith(b"\r"):
        return repaired + b"\n"
    return repaired if repaired.endswith(b"\r\n") else repaired + b"\r\n"


def left(mailbox: Mailbox, folder: str = "INBOX") -> list[bytes]:
    return [stored.octets for stored in mailbox.messages(folder)]


# Login


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("plain@example.org", "two words"),
        ("plain@example.org", " leading, trailing  and double "),
        ("plain@example.org", 'quote"back\\slash'),
        ("plain@example.org", "pässwörd € 🙂"),
        ("plain@example.org", "(){%*]~`$'"),
        ("With.UPPER@Example.Org", "With UPPER"),
        ("jürgen@exämple.org", "пароль"),
        ('a "quoted" name', "secret"),
    ],
)
def test_any_name_and_password_log_in(
    gateway: GatewayProcess, upstream: Upstream, name: str, password: str
) -> None:
    mailbox = Mailbox(upstream, f"{next(_numbers)}.{name}", password)
    upstream.add_user(mailbox.user, password)
    with session(gateway, mailbox) as client:
        assert client.ask("STAT") == b"+OK 0 0"


def test_a_wrong_password_does_not(gateway: GatewayProcess, upstream_mailbox: Mailbox) -> None:
    with RawClient(gateway.port) as client:
        wrong = Mailbox(upstream_mailbox.server, upstream_mailbox.user, "wrong")
        assert client.log_in(wrong).startswith(b"-ERR [AUTH]")
        assert client.log_in(upstream_mailbox).startswith(b"+OK")


@pytest.mark.parametrize("tls", ["none", "required"])
def test_the_other_ways_to_connect(
    start_gateway: StartGateway, upstream_mailbox: Mailbox, certificates: Certificates, tls: str
) -> None:
    """In clear, and by STARTTLS; all other tests use implicit TLS."""
    upstream_mailbox.deliver(MESSAGES[:1])
    server = upstream_mailbox.server
    if tls == "none":
        url: dict[str, str] = {"url": f"imap://127.0.0.1:{server.imap_port}?tls=none"}
    else:
        url = {"url": f"imap://{server.host}:{server.imap_port}", "ca_file": str(certificates.ca_file)}
    with session(start_gateway(server, upstream=url), upstream_mailbox) as client:
        assert client.message("RETR 1") == MESSAGES[0]


# Looking


def test_two_sessions_show_the_same(gateway: GatewayProcess, upstream_mailbox: Mailbox) -> None:
    uids = upstream_mailbox.deliver(list(GALLERY.values()))
    seen = []
    for _ in range(2):
        with session(gateway, upstream_mailbox) as client:
            seen.append((client.ask("STAT"), client.message("LIST"), client.message("UIDL")))
    assert seen[0] == seen[1]
    stat, listing, unique_ids = seen[0]
    sizes = [len(octets) for octets in left(upstream_mailbox)]
    validity = upstream_mailbox.uid_validity()
    assert stat == b"+OK %d %d" % (len(sizes), sum(sizes))
    assert listing == b"".join(b"%d %d\r\n" % row for row in enumerate(sizes, 1))
    assert unique_ids == b"".join(
        b"%d %08x%08x\r\n" % (number, validity, uid) for number, uid in enumerate(uids, 1)
    )


def test_an_empty_maildrop(gateway: GatewayProcess, upstream_mailbox: Mailbox) -> None:
    with session(gateway, upstream_mailbox) as client:
        assert client.ask("STAT") == b"+OK 0 0"
        assert client.message("LIST") == client.message("UIDL") == b""
        assert client.ask("RETR 1").startswith(b"-ERR")


# Retrieval


def test_each_message_is_what_imap_shows_and_is_listed_so_from_then_on(
    gateway: GatewayProcess, upstream_mailbox: Mailbox
) -> None:
    upstream_mailbox.deliver(list(GALLERY.values()))
    expected = dict(zip(GALLERY, map(sent, left(upstream_mailbox)), strict=True))
    with session(gateway, upstream_mailbox) as client:
        got = {name: client.message(f"RETR {number}") for number, name in enumerate(GALLERY, 1)}
    assert {name for name in GALLERY if got[name] != expected[name]} == set()
    with session(gateway, upstream_mailbox) as client:
        listing = client.message("LIST")
    assert listing == b"".join(b"%d %d\r\n" % (n, len(octets)) for n, octets in enumerate(expected.values(), 1))


def test_top_is_the_beginning_of_what_retr_sends(gateway: GatewayProcess, upstream_mailbox: Mailbox) -> None:
    upstream_mailbox.deliver(list(GALLERY.values()))
    with session(gateway, upstream_mailbox) as client:
        for number, name in enumerate(GALLERY, 1):
            whole = client.message(f"RETR {number}")
            head, blank, body = (b"\r\n" + whole).partition(b"\r\n\r\n")
            lines = body.splitlines(keepends=True) if b"\r" not in body.replace(b"\r\n", b"") else []
            for count in (0, 1, 2):
                top = client.message(f"TOP {number} {count}")
                assert whole.startswith(top), name
                if lines or not body:
                    assert top == (head + blank + b"".join(lines[:count]))[2:], name
            assert client.message(f"TOP {number} 9999999") == whole, name
    assert {stored.flags for stored in upstream_mailbox.messages()} == {frozenset({r"\Seen"})}


def test_what_was_retrieved_is_seen_after_quit_and_nothing_else(
    gateway: GatewayProcess, upstream_mailbox: Mailbox
) -> None:
    upstream_mailbox.deliver(MESSAGES)
    with session(gateway, upstream_mailbox) as client:
        client.message("RETR 2")
        client.message("TOP 3 1")
        assert {stored.flags for stored in upstream_mailbox.messages()} == {frozenset()}
    assert [set(stored.flags) for stored in upstream_mailbox.messages()] == [set(), {r"\Seen"}, set(), set()]


def test_a_session_without_quit_changes_nothing(gateway: GatewayProcess, upstream_mailbox: Mailbox) -> None:
    upstream_mailbox.deliver(MESSAGES)
    before = upstream_mailbox.messages()
    with RawClient(gateway.port) as client:
        client.log_in(upstream_mailbox)
        client.message("RETR 1")
        client.ask("DELE 1")
    gateway.wait_for("session ended", user=upstream_mailbox.user)
    assert upstream_mailbox.messages() == before


# Deletion


def test_quit_removes_what_was_deleted_and_nothing_else(
    gateway: GatewayProcess, upstream_mailbox: Mailbox
) -> None:
    upstream_mailbox.deliver(MESSAGES)
    with session(gateway, upstream_mailbox) as client:
        assert client.ask("DELE 1").startswith(b"+OK")
        assert client.ask("DELE 3").startswith(b"+OK")
        assert left(upstream_mailbox) == MESSAGES
    assert left(upstream_mailbox) == [MESSAGES[1], MESSAGES[3]]


def test_what_another_client_marked_stays(gateway: GatewayProcess, upstream_mailbox: Mailbox) -> None:
    uids = upstream_mailbox.deliver(MESSAGES)
    upstream_mailbox.flag([uids[1]], r"\Deleted")
    with session(gateway, upstream_mailbox) as client:
        upstream_mailbox.flag([uids[2]], r"\Deleted")
        client.ask("DELE 1")
    stored = upstream_mailbox.messages()
    assert [one.uid for one in stored] == uids[1:]
    assert [set(one.flags) for one in stored] == [{r"\Deleted"}, {r"\Deleted"}, set()]


# Other clients in mid-session


def test_a_message_expunged_by_another_client_is_gone_and_the_others_are_not(
    gateway: GatewayProcess, upstream_mailbox: Mailbox, server_name: str
) -> None:
    uids = upstream_mailbox.deliver(MESSAGES)
    with session(gateway, upstream_mailbox) as client:
        upstream_mailbox.expunge([uids[1]])
        first = client.ask("RETR 2")
        if server_name in STILL_SHOWN and first.startswith(b"+OK"):
            assert b"".join(client.body()) == MESSAGES[1]
            first = client.ask("RETR 2")
        assert first.startswith(b"-ERR"), b"".join(client.body())
        assert client.ask("TOP 2 0").startswith(b"-ERR")
        for number in (1, 3, 4):
            assert client.message(f"RETR {number}") == MESSAGES[number - 1]
        assert client.ask("STAT") == b"+OK 4 %d" % (4 * SIZE)
        client.ask("DELE 2")
        client.ask("DELE 3")
    assert left(upstream_mailbox) == [MESSAGES[0], MESSAGES[3]]
    with session(gateway, upstream_mailbox) as client:
        assert client.ask("STAT") == b"+OK 2 %d" % (2 * SIZE)


def test_top_of_a_long_message_that_is_gone(
    gateway: GatewayProcess, upstream_mailbox: Mailbox, server_name: str
) -> None:
    """Of a long message TOP asks for the beginning only."""
    long = b"Subject: long\r\n\r\n" + b"body\r\n" * 5000
    uids = upstream_mailbox.deliver([long, long])
    with session(gateway, upstream_mailbox) as client:
        upstream_mailbox.expunge([uids[0]])
        status = client.ask("TOP 1 0")
        if server_name in STILL_SHOWN and status.startswith(b"+OK"):
            assert b"".join(client.body()) == b"Subject: long\r\n\r\n"
        else:
            assert status.startswith(b"-ERR"), b"".join(client.body())
        assert client.message("TOP 2 0") == b"Subject: long\r\n\r\n"


def test_all_messages_expunged_by_another_client(gateway: GatewayProcess, upstream_mailbox: Mailbox) -> None:
    uids = upstream_mailbox.deliver(MESSAGES)
    with session(gateway, upstream_mailbox) as client:
        upstream_mailbox.expunge(uids)
        assert client.message("UIDL").count(b"\r\n") == len(uids)
        for number in range(1, 5):
            client.ask(f"DELE {number}")
    with session(gateway, upstream_mailbox) as client:
        assert client.ask("STAT") == b"+OK 0 0"


def test_a_delivery_in_mid_session_changes_nothing(gateway: GatewayProcess, upstream_mailbox: Mailbox) -> None:
    upstream_mailbox.deliver(MESSAGES)
    with session(gateway, upstream_mailbox) as client:
        before = client.ask("STAT"), client.message("LIST"), client.message("UIDL")
        upstream_mailbox.deliver([b"Subject: new\r\n\r\n"])
        assert client.message("RETR 4") == MESSAGES[3]
        assert (client.ask("STAT"), client.message("LIST"), client.message("UIDL")) == before
        assert client.ask("RETR 5").startswith(b"-ERR")
        client.ask("DELE 1")
    assert left(upstream_mailbox) == [*MESSAGES[1:], b"Subject: new\r\n\r\n"]
    with session(gateway, upstream_mailbox) as client:
        assert client.message("RETR 4") == b"Subject: new\r\n\r\n"


def test_two_sessions_at_once_are_one_too_many(gateway: GatewayProcess, upstream_mailbox: Mailbox) -> None:
    with session(gateway, upstream_mailbox), RawClient(gateway.port) as second:
        assert second.log_in(upstream_mailbox).startswith(b"-ERR [IN-USE]")
    with session(gateway, upstream_mailbox):
        pass


# What becomes of deleted messages


def test_trash_takes_what_was_deleted(start_gateway: StartGateway, upstream_mailbox: Mailbox, trash: str) -> None:
    """By MOVE at Cyrus and Dovecot, by COPY and EXPUNGE at Courier."""
    uids = upstream_mailbox.deliver(MESSAGES)
    upstream_mailbox.flag([uids[3]], r"\Deleted")
    gateway = start_gateway(upstream_mailbox.server, maildrop={"on_delete": "trash", "trash": trash})
    with session(gateway, upstream_mailbox) as client:
        client.message("RETR 1")
        client.ask("DELE 1")
        client.ask("DELE 3")
    assert left(upstream_mailbox) == [MESSAGES[1], MESSAGES[3]]
    assert left(upstream_mailbox, trash) == [MESSAGES[0], MESSAGES[2]]
    assert all(r"\Deleted" not in stored.flags for stored in upstream_mailbox.messages(trash))


@pytest.fixture
def lesser_dovecot(certificates: Certificates) -> Iterator[Callable[..., Dovecot]]:
    """A Dovecot of one's own that does not announce what it can do."""
    requires("dovecot", "dovecot-imapd")
    running: list[Dovecot] = []

    def start(*names: str) -> Dovecot:
        running.append(Dovecot(certificates, capability=without(*names)))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.mark.parametrize("missing", [("MOVE",), ("MOVE", "UIDPLUS")])
def test_trash_without_move(
    start_gateway: StartGateway, lesser_dovecot: Callable[..., Dovecot], missing: tuple[str, ...]
) -> None:
    mailbox = new_mailbox(lesser_dovecot(*missing))
    mailbox.deliver(MESSAGES)
    mailbox.deliver([b"old\r\n"], "Bin")
    gateway = start_gateway(mailbox.server, maildrop={"on_delete": "trash", "trash": "Bin"})
    with session(gateway, mailbox) as client:
        client.ask("DELE 1")
        client.ask("DELE 3")
    assert left(mailbox) == [MESSAGES[1], MESSAGES[3]]
    assert left(mailbox, "Bin") == [b"old\r\n", MESSAGES[0], MESSAGES[2]]


def test_without_a_trash_folder_nothing_is_lost(start_gateway: StartGateway, upstream_mailbox: Mailbox) -> None:
    upstream_mailbox.deliver(MESSAGES)
    maildrop = {"on_delete": "trash", "trash": "No such folder"}
    gateway = start_gateway(upstream_mailbox.server, maildrop=maildrop)
    with RawClient(gateway.port) as client:
        client.log_in(upstream_mailbox)
        client.ask("DELE 1")
        assert client.ask("QUIT").startswith(b"-ERR")
    assert left(upstream_mailbox) == MESSAGES
    with session(gateway, upstream_mailbox) as client:
        assert client.ask("STAT") == b"+OK 4 %d" % (4 * SIZE)


@pytest.mark.parametrize(("policy", "flags"), [("keep", set()), ("flag", {r"\Deleted"})])
def test_what_is_kept_is_hidden(
    start_gateway: StartGateway, upstream_mailbox: Mailbox, policy: str, flags: set[str]
) -> None:
    uids = upstream_mailbox.deliver(MESSAGES)
    gateway = start_gateway(upstream_mailbox.server, maildrop={"on_delete": policy})
    with session(gateway, upstream_mailbox) as client:
        client.ask("DELE 2")
    stored = upstream_mailbox.messages()
    assert [one.uid for one in stored] == uids
    assert [set(one.flags) for one in stored] == [set(), flags, set(), set()]
    with session(gateway, upstream_mailbox) as client:
        assert client.ask("STAT") == b"+OK 3 %d" % (3 * SIZE)
        assert client.message("RETR 2") == MESSAGES[2]
