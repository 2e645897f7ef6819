"""fetchmail's own ways: it peeks with TOP, looks without fetching, leaves what is too large, stops in between."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.client import SECONDS, Failed, Site
from tests.clients.fetchmail import Fetchmail
from tests.gateway_process import StartGateway
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates

SMALL = [b"Subject: %d\r\n\r\nbody %d\r\n" % (n, n) for n in range(3)]
LARGE = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 2000

FETCH_LIMIT = 13  # its exit status when it stopped at the limit


@pytest.fixture
def fetchmail(home: Path) -> Fetchmail:
    return Fetchmail(home)


def test_it_peeks_with_top(fetchmail: Fetchmail, site: Site, mailbox: Mailbox) -> None:
    mailbox.deliver(SMALL)
    arrived, said = fetchmail.fetch(site, mailbox, "keep", server="uidl")
    assert arrived == SMALL
    assert _sent(said, "TOP") == ["TOP 1 99999999", "TOP 2 99999999", "TOP 3 99999999"]
    assert _sent(said, "RETR") == []
    assert [stored.flags for stored in mailbox.messages()] == [frozenset()] * 3


def test_it_peeks_before_it_deletes(fetchmail: Fetchmail, site: Site, mailbox: Mailbox) -> None:
    mailbox.deliver(SMALL)
    arrived, said = fetchmail.fetch(site, mailbox, "no keep")
    assert arrived == SMALL
    assert _sent(said, "DELE") == ["DELE 1", "DELE 2", "DELE 3"]
    assert _sent(said, "RETR") == []
    assert mailbox.messages() == []


def test_it_looks(fetchmail: Fetchmail, site: Site, mailbox: Mailbox) -> None:
    arrived, said = fetchmail.fetch(site, mailbox, "", "--check")
    assert arrived == []
    assert "normal termination, status 1" in said  # no mail
    mailbox.deliver(SMALL)
    arrived, said = fetchmail.fetch(site, mailbox, "", "--check")
    assert arrived == []
    assert f"3 messages for {mailbox.user}" in said
    assert "normal termination, status 0" in said
    assert [stored.flags for stored in mailbox.messages()] == [frozenset()] * 3


def test_it_looks_for_what_is_new(fetchmail: Fetchmail, site: Site, mailbox: Mailbox) -> None:
    mailbox.deliver(SMALL[:2])
    fetchmail.fetch_new(site, mailbox, tls="stls")
    mailbox.deliver(SMALL[2:])
    said = fetchmail.fetch(site, mailbox, "keep", "--check", server="uidl")[1]
    assert f"3 messages (2 seen) for {mailbox.user}" in said


def test_it_leaves_what_is_too_large(fetchmail: Fetchmail, site: Site, mailbox: Mailbox) -> None:
    mailbox.deliver([SMALL[0], LARGE, SMALL[1]])
    arrived, said = fetchmail.fetch(site, mailbox, "no keep", "--limit", "1000")
    assert arrived == SMALL[:2]
    assert f"({len(LARGE)} octets) (oversized)" in said
    assert [stored.octets for stored in mailbox.messages()] == [LARGE]
    assert fetchmail.fetch(site, mailbox, "no keep")[0] == [LARGE]


def test_it_stops_in_between(fetchmail: Fetchmail, site: Site, mailbox: Mailbox) -> None:
    mailbox.deliver(SMALL)
    with pytest.raises(Failed) as failed:
        fetchmail.fetch(site, mailbox, "no keep", "--fetchlimit", "2")
    assert failed.value.status == FETCH_LIMIT
    assert [stored.octets for stored in mailbox.messages()] == SMALL[2:]


# Stores the first message, and says so, but does not end before it is told to.
_SLOW_STORE = """\
cat > "$1/1"
touch "$1.has-one"
until [ -e "$1.may-go-on" ]; do sleep 0.01; done
"""


def test_the_upstream_goes_down_within_the_session(
    fetchmail: Fetchmail, certificates: Certificates, start_gateway: StartGateway
) -> None:
    """Nothing is lost, and what QUIT has promised to delete does not come back."""
    inbox = fetchmail.inbox
    store = inbox.script.read_text()
    with Dovecot(certificates) as server, ThreadPoolExecutor(1) as threads:
        mailbox = new_mailbox(server)
        mailbox.deliver(SMALL)
        gateway = start_gateway(server)
        site = Site(gateway.port, gateway.tls_port, certificates.ca_file)
        inbox.script.write_text(_SLOW_STORE)
        session = threads.submit(_session, fetchmail, site, mailbox)
        try:
            _wait_for(inbox.folder.with_suffix(".has-one"))
            server.down()
        finally:
            inbox.folder.with_suffix(".may-go-on").touch()
        arrived, said = session.result(SECONDS)
        assert arrived == SMALL[:1]
        assert said.count("POP3< -ERR [SYS/TEMP] ") >= 2  # to the other messages, and perhaps to QUIT
        inbox.script.write_text(store)
        server.up()
        promised = re.search(r"POP3> QUIT\s.*POP3< \+OK ", said)
        assert _session(fetchmail, site, mailbox)[0] == (SMALL[1:] if promised else SMALL)
        assert mailbox.messages() == []


def _session(fetchmail: Fetchmail, site: Site, mailbox: Mailbox) -> tuple[list[bytes], str]:
    """What arrived, and what it said, whether it calls that a failure or not."""
    try:
        return fetchmail.fetch(site, mailbox, "no keep")
    except Failed as failed:
        return fetchmail.inbox.take(), failed.output


def _wait_for(path: Path) -> None:
    end = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.01)


def _sent(said: str, verb: str) -> list[str]:
    """Its commands with this verb, as --verbose shows them."""
    return re.findall(rf"^fetchmail: POP3> ({verb}\b.*)$", said, re.MULTILINE)
