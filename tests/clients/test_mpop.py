"""mpop's own ways: it pipelines, filters by the header, and tells what a server can do."""

import re
from pathlib import Path

import pytest

from tests.clients.client import Site
from tests.clients.mpop import Mpop
from tests.servers.fixtures import Mailbox

MESSAGES = [b"Subject: %d\r\n\r\n.dot\r\nbody %d\r\n" % (n, n) for n in range(1, 31)]


@pytest.fixture
def mpop(home: Path) -> Mpop:
    return Mpop(home)


@pytest.mark.parametrize(("setting", "pipelined"), [("auto", True), ("on", True), ("off", False)])
def test_pipelining(mpop: Mpop, site: Site, mailbox: Mailbox, setting: str, pipelined: bool) -> None:
    mailbox.deliver(MESSAGES)
    arrived, said = mpop.fetch(site, mailbox, f"--pipelining={setting}", "--keep=off")
    assert arrived == MESSAGES
    assert mailbox.messages() == []
    assert ("--> RETR 1\n--> RETR 2\n" in said.replace("\r", "")) == pipelined


@pytest.mark.parametrize(
    ("method", "command"),
    [("user", "USER "), ("plain", "AUTH PLAIN"), ("login", "AUTH LOGIN"), ("on", "AUTH PLAIN")],
)
def test_ways_to_log_in(mpop: Mpop, site: Site, mailbox: Mailbox, method: str, command: str) -> None:
    mailbox.deliver(MESSAGES[:1])
    arrived, said = mpop.fetch(site, mailbox, auth=method)
    assert arrived == MESSAGES[:1]
    assert f"--> {command}" in said


def test_filter(mpop: Mpop, site: Site, mailbox: Mailbox, home: Path) -> None:
    """It decides by what TOP n 0 gives: fetch (0), delete (1), or leave (2)."""
    mailbox.deliver(MESSAGES[:3])
    script = home / "filter"
    script.write_text("while read -r name value; do case $value in 2) exit 1;; 3) exit 2;; esac; done; exit 0\n")
    arrived, said = mpop.fetch(site, mailbox, f"--filter=/bin/sh {script}")
    assert arrived == MESSAGES[:1]
    assert re.findall(r"^--> (TOP .*?)\r?$", said, re.MULTILINE) == ["TOP 1 0", "TOP 2 0", "TOP 3 0"]
    assert [stored.octets for stored in mailbox.messages()] == MESSAGES[2:3]


def test_what_the_server_can_do(mpop: Mpop, site: Site, mailbox: Mailbox) -> None:
    said = mpop.fetch(site, mailbox, "--serverinfo")[1]
    for word in ("PIPELINING", "TOP", "UIDL", "EXPIRE NEVER", "RESP-CODES", "AUTH-RESP-CODE"):
        assert f"    {word}:\n" in said
    assert re.search(r"USER .*PLAIN .*LOGIN", said)
