"""`python -m tests.fuzz.record`: what real servers say to us, into the corpus.

Tags become `@n`, as far_end.py reads them, and a server's words on its machine become something else.
"""

import asyncio
import re
import socket
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import click

from gateway.imap import link
from gateway.imap.bodies import BodyReader
from gateway.imap.link import Timeouts, connect_and_log_in, say_goodbye
from gateway.imap.listing import take_snapshot
from gateway.imap.transport import Transport
from gateway.maildrop import OnDelete, Policy
from gateway.ports import Account, Endpoint, TlsMode
from gateway.sasl import Credentials, Secret
from tests.fuzz import corpus
from tests.fuzz.far_end import COMMAND, SECONDS
from tests.fuzz.targets.endings import ending
from tests.fuzz.targets.fetch import BEGINNING, FIRST, LISTED, SECOND
from tests.fuzz.targets.mailbox import NEXT_CONNECTION, PASSWORD, USER, Session
from tests.servers import tls
from tests.servers.courier import Courier
from tests.servers.cyrus import Cyrus
from tests.servers.dovecot import Dovecot
from tests.servers.messages import GALLERY
from tests.servers.tls import Certificates
from tests.servers.upstream import Upstream

MAIL = [*[GALLERY["simple"]] * (FIRST - 1), GALLERY["mixed-ends"], GALLERY["bare-lf"]]
TRASH = """
namespace inbox {
  inbox = yes
  mailbox Trash {
    auto = create
    special_use = \\Trash
  }
}
"""
SERVERS: dict[str, tuple[Callable[[Certificates], Upstream], TlsMode, Policy]] = {
    "cyrus": (Cyrus, TlsMode.NONE, Policy()),
    "courier": (Courier, TlsMode.NONE, Policy()),
    "dovecot": (Dovecot, TlsMode.STARTTLS, Policy()),
    # These differ in what they say at the end of a session only.
    "dovecot-without-uidplus": (lambda made: Dovecot(made, capability="IMAP4rev1"), TlsMode.NONE, Policy()),
    "dovecot-with-trash": (lambda made: Dovecot(made, extra=TRASH), TlsMode.NONE, Policy(OnDelete.TRASH)),
}


class Recorded(Transport):
    """Remembers what the server says."""

    made: list["Recorded"]

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._tags: list[bytes] = []
        self._said = b""
        self.made.append(self)

    def send(self, octets: bytes) -> None:
        self._tags += COMMAND.findall(octets)
        super().send(octets)

    def _receive(self, most: int) -> bytes:
        piece = super()._receive(most)
        self._said += piece
        return piece

    def take(self, first: int = 0) -> bytes:
        """What was said since this was last asked; its first command becomes number `first`."""
        octets, tags = self._said, self._tags
        self._said, self._tags = b"", []
        for number, tag in enumerate(tags, first):
            octets = re.sub(rb"(?m)^%s(?= )" % tag, b"@%d" % number, octets)
        octets = octets.replace(socket.gethostname().encode(), b"mail.example.org")
        return re.sub(rb" ready in \S+", b" ready.", octets)


def record(name: str, server: Upstream, mode: TlsMode, policy: Policy) -> None:
    """Everything that we ever ask, of one server."""
    server.add_user(USER, PASSWORD)
    uids = server.deliver(USER, MAIL)
    assert uids[FIRST - 1 :] == [FIRST, SECOND]
    endpoint = Endpoint(server.host, server.imap_port, mode, server.ca_file)
    account = Account(endpoint, Credentials(USER, Secret(PASSWORD)), "INBOX", policy)
    if name in ("cyrus", "courier", "dovecot"):
        _record_listing_and_messages(name, server, account)
        wrong = Credentials(USER, Secret('wr"ong'))
        _record_session(f"{name}-wrong-password", replace(account, credentials=wrong))
    _record_session(name, account)


def _record_listing_and_messages(name: str, server: Upstream, account: Account) -> None:
    client = connect_and_log_in(account, Timeouts())
    transport = Recorded.made[-1]
    transport.take()
    take_snapshot(client, "INBOX", SECONDS)
    corpus.keep("listing", name, transport.take(1))
    _read_both(transport)
    corpus.keep("fetch", name, transport.take())
    server.expunge(USER, [FIRST, SECOND])
    _read_both(transport)
    corpus.keep("fetch", f"{name}-expunged", transport.take())
    say_goodbye(client)


def _read_both(transport: Transport) -> None:
    for uid, octets in ((FIRST, None), (SECOND, BEGINNING)):
        reader = BodyReader(transport, uid, LISTED[uid], octets)
        ending(reader.open)
        while not reader.finished:
            reader.read()


def _record_session(name: str, account: Account) -> None:
    Recorded.made.clear()
    how = asyncio.run(Session(account).run())
    click.echo(f"{name}: {how}")
    said = [connection.take() for connection in Recorded.made]
    if account.endpoint.tls is TlsMode.NONE:  # the target would begin TLS where it is offered
        said = [octets.replace(b" STARTTLS", b"") for octets in said]
    corpus.keep("mailbox", name, NEXT_CONNECTION.join(said))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, patch.object(link, "Transport", Recorded):
        Recorded.made = []
        certificates = tls.make(Path(folder))
        for name, (start, mode, policy) in SERVERS.items():
            server = start(certificates)
            try:
                record(name, server, mode, policy)
            finally:
                server.stop()


if __name__ == "__main__":
    main()
