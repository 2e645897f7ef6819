"""Ways to a server behind the gateway, for the tests of these servers themselves."""

import imaplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.fixtures import Mailbox
from tests.servers.imap_client import leaving
from tests.servers.upstream import Upstream


@contextmanager
def session(mailbox: Mailbox) -> Iterator[imaplib.IMAP4]:
    """A client that stays connected while the test does something else to the mailbox."""
    with leaving(imaplib.IMAP4(mailbox.server.host, mailbox.server.imap_port)) as client:
        client.login(mailbox.user, mailbox.password)
        client.select()
        yield client


def trusting(server: Upstream) -> ssl.SSLContext:
    assert server.ca_file is not None
    return ssl.create_default_context(cafile=server.ca_file)


def imaps(server: Upstream, context: ssl.SSLContext) -> imaplib.IMAP4_SSL:
    assert server.imaps_port is not None
    return imaplib.IMAP4_SSL(server.host, server.imaps_port, ssl_context=context)
