"""Thunderbird's ways to log in, by Thunderbird."""

from pathlib import Path

import pytest

from tests.clients.client import Site, Tls
from tests.clients.thunderbird import ENCRYPTED, NORMAL, Thunderbird
from tests.servers.fixtures import Mailbox

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    ("tls", "method", "command"),
    [
        ("none", NORMAL, "AUTH PLAIN"),
        ("stls", NORMAL, "AUTH PLAIN"),
        ("pop3s", NORMAL, "AUTH PLAIN"),
        ("none", ENCRYPTED, "AUTH CRAM-MD5"),
        ("pop3s", ENCRYPTED, "AUTH CRAM-MD5"),
    ],
)
def test_with_an_app_password(
    tls: Tls, method: int, command: str, stored_site: Site, device: Mailbox, home: Path
) -> None:
    device.deliver([MESSAGE])
    [message], log = Thunderbird(home).fetch(stored_site, device, tls=tls, method=method)
    assert b"Subject: one" in message
    assert f"C: {command}" in log
