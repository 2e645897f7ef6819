"""Python's poplib, as scripts use it."""

import contextlib
import poplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar
from unittest import mock

from tests.clients.client import SECONDS, Failed, Site, Tls, Trouble
from tests.servers.fixtures import Mailbox

LINE_OCTETS = 2**20  # poplib takes lines of 2048 octets, unless it is told otherwise; as getmail tells it


class Python:
    """Implements Client."""

    ways: ClassVar[Sequence[Tls]] = ("none", "stls", "pop3s")
    statuses: ClassVar[Mapping[Trouble, int | str]] = {
        Trouble.WRONG_PASSWORD: "error_proto",
        Trouble.IN_USE: "error_proto",
        Trouble.UPSTREAM_DOWN: "error_proto",
        Trouble.UNTRUSTED: "SSLCertVerificationError",
    }

    def __init__(self, home: Path) -> None:
        """It has no need of a home."""

    def fetch_all(self, site: Site, mailbox: Mailbox, *, tls: Tls, delete: bool) -> list[bytes]:
        try:
            with session(site, mailbox, tls) as client:
                count = client.stat()[0]
                messages = [retrieve(client, number) for number in range(1, count + 1)]
                if delete:
                    for number in range(1, count + 1):
                        client.dele(number)
        except (poplib.error_proto, OSError) as error:
            raise Failed(type(error).__name__, str(error)) from error
        return messages

    def as_stored(self, octets: bytes) -> bytes:
        return octets


@contextlib.contextmanager
def session(site: Site, mailbox: Mailbox, tls: Tls = "none") -> Iterator[poplib.POP3]:
    """A logged-in client; QUIT in the end, unless something went wrong."""
    context = ssl.create_default_context(cafile=str(site.ca_file))
    if tls == "pop3s":
        client: poplib.POP3 = poplib.POP3_SSL(site.host, site.tls_port, timeout=SECONDS, context=context)
    else:
        client = poplib.POP3(site.host, site.port, timeout=SECONDS)
    try:
        if tls == "stls":
            client.stls(context)
        client.user(mailbox.user)
        client.pass_(mailbox.password)
        yield client
        client.quit()
    finally:
        with contextlib.suppress(OSError):  # a handshake that failed has closed the socket already
            client.close()


def retrieve(client: poplib.POP3, number: int) -> bytes:
    """A whole message, whatever the length of its lines."""
    with mock.patch.object(poplib, "_MAXLINE", LINE_OCTETS):
        return b"".join(line + b"\r\n" for line in client.retr(number)[1])
