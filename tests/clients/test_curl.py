"""curl as scripts use it: a command a run."""

from pathlib import Path

import pytest

from tests.clients.client import Failed, Site, Tls
from tests.clients.curl import Curl
from tests.servers.fixtures import Mailbox

ONE = b"From: a@example.org\r\nSubject: one\r\n\r\n.dot\r\nsecond\r\n"
TWO = b"Subject: two\r\n\r\nbody\r\n"

NO_SUCH_MESSAGE = 8  # CURLE_WEIRD_SERVER_REPLY: an -ERR after the login


@pytest.fixture
def curl(home: Path) -> Curl:
    return Curl(home)


@pytest.fixture
def unique_ids(mailbox: Mailbox) -> list[str]:
    """Of two messages, ONE and TWO, which are in the mailbox."""
    uids = mailbox.deliver([ONE, TWO])
    return [f"{mailbox.uid_validity():08x}{uid:08x}" for uid in uids]


@pytest.mark.usefixtures("unique_ids")
@pytest.mark.parametrize("tls", Curl.ways)
def test_listing(curl: Curl, site: Site, mailbox: Mailbox, tls: Tls) -> None:
    assert curl.ask(site, mailbox, tls=tls) == b"1 %d\r\n2 %d\r\n" % (len(ONE), len(TWO))


@pytest.mark.usefixtures("unique_ids")
def test_size_of_one(curl: Curl, site: Site, mailbox: Mailbox) -> None:
    assert curl.status_line(site, mailbox, "2", "list-only") == f"+OK 2 {len(TWO)}"


def test_unique_ids(curl: Curl, site: Site, mailbox: Mailbox, unique_ids: list[str]) -> None:
    expected = "1 {}\r\n2 {}\r\n".format(*unique_ids)
    assert curl.ask(site, mailbox, "", 'request = "UIDL"', "list-only") == expected.encode()


def test_unique_id_of_one(curl: Curl, site: Site, mailbox: Mailbox, unique_ids: list[str]) -> None:
    said = curl.status_line(site, mailbox, "2", 'request = "UIDL"', "list-only")
    assert said == f"+OK 2 {unique_ids[1]}"


@pytest.mark.usefixtures("unique_ids")
@pytest.mark.parametrize("tls", Curl.ways)
def test_single_message(curl: Curl, site: Site, mailbox: Mailbox, tls: Tls) -> None:
    assert curl.ask(site, mailbox, "2", tls=tls) == TWO
    assert [stored.flags for stored in mailbox.messages()] == [frozenset(), {r"\Seen"}]


@pytest.mark.usefixtures("unique_ids")
def test_no_such_message(curl: Curl, site: Site, mailbox: Mailbox) -> None:
    with pytest.raises(Failed) as failed:
        curl.ask(site, mailbox, "3")
    assert failed.value.status == NO_SUCH_MESSAGE
    assert "< -ERR no message 3" in failed.value.output


@pytest.mark.usefixtures("unique_ids")
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (0, b"From: a@example.org\r\nSubject: one\r\n\r\n"),
        (1, b"From: a@example.org\r\nSubject: one\r\n\r\n.dot\r\n"),
        (9, ONE),
    ],
)
def test_top(curl: Curl, site: Site, mailbox: Mailbox, lines: int, expected: bytes) -> None:
    assert curl.ask(site, mailbox, "", f'request = "TOP 1 {lines}"') == expected
    assert [stored.flags for stored in mailbox.messages()] == [frozenset()] * 2


@pytest.mark.usefixtures("unique_ids")
@pytest.mark.parametrize(
    ("path", "options"),
    [
        # A number in the URL comes after the command. Without one, and without --head, curl waits for a list.
        ("1", ('request = "DELE"', "list-only")),
        ("", ('request = "DELE 1"', "head")),
    ],
)
def test_delete(curl: Curl, site: Site, mailbox: Mailbox, path: str, options: tuple[str, ...]) -> None:
    assert curl.status_line(site, mailbox, path, *options).startswith("+OK")
    assert [stored.octets for stored in mailbox.messages()] == [TWO]


@pytest.mark.usefixtures("unique_ids")
@pytest.mark.parametrize(
    ("options", "command"),
    [
        (['login-options = "AUTH=PLAIN"'], "AUTH PLAIN"),
        (['login-options = "AUTH=PLAIN"', "sasl-ir"], "AUTH PLAIN AH"),
        (['login-options = "AUTH=LOGIN"'], "AUTH LOGIN"),
        (['login-options = "AUTH=LOGIN"', "sasl-ir"], "AUTH LOGIN dXN"),
        ([], "AUTH PLAIN"),  # what it chooses by itself
    ],
)
def test_ways_to_log_in(curl: Curl, site: Site, mailbox: Mailbox, options: list[str], command: str) -> None:
    assert curl.ask(site, mailbox, "1", *options) == ONE
    assert f"\n> {command}" in curl.said


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_wrong_password(curl: Curl, site: Site, mailbox: Mailbox, mechanism: str) -> None:
    wrong = Mailbox(mailbox.server, mailbox.user, "wrong")
    with pytest.raises(Failed) as failed:
        curl.ask(site, wrong, "", f'login-options = "AUTH={mechanism}"')
    assert failed.value.status == 67
    assert "< -ERR [AUTH] " in failed.value.output
