"""A whole session over sockets: the gateway as a process, a real IMAP server behind it."""

import poplib

from tests.gateway_process import StartGateway
from tests.servers.fixtures import Mailbox


def log_in(port: int, mailbox: Mailbox) -> poplib.POP3:
    client = poplib.POP3("127.0.0.1", port, timeout=20)
    client.user(mailbox.user)
    client.pass_(mailbox.password)
    return client


def test_a_client_retrieves_and_deletes(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    uids = mailbox.deliver([b"Subject: one\r\n\r\n.dot\r\n", b"Subject: two\r\n\r\nbody\r\n"])
    gateway = start_gateway(mailbox.server)
    client = log_in(gateway.port, mailbox)
    assert client.stat() == (2, 44)
    validity = mailbox.uid_validity()
    assert client.uidl()[1] == [f"{n} {validity:08x}{uid:08x}".encode() for n, uid in enumerate(uids, 1)]
    assert client.retr(1)[1] == [b"Subject: one", b"", b".dot"]
    client.dele(2)
    client.quit()
    (left,) = mailbox.messages()
    assert left.uid == uids[0]
    assert "\\Seen" in left.flags
    assert gateway.stop() == 0
