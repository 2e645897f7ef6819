"""What a connection that rests says to a server: each of them takes it, and keeps what others flagged."""

from collections.abc import Callable

import pytest

from gateway.imap.connections import UNSELECT_SECONDS, Connections
from gateway.imap.listing import take_snapshot
from gateway.imap.warm import Limits
from gateway.maildrop import Policy
from gateway.ports import Account, Endpoint, TlsMode
from gateway.sasl import Credentials, Secret
from gateway.threads import Threads
from tests.imap.conftest import ONE, PATIENT, THREE, TWO, Clock
from tests.servers.fixtures import SERVERS, new_mailbox
from tests.servers.upstream import Upstream


@pytest.mark.parametrize("name", SERVERS)
def test_a_mailbox_is_let_go_and_opened_again_and_nothing_is_lost(
    shared_server: Callable[[str], Upstream], clock: Clock, name: str
) -> None:
    server = shared_server(name)
    mailbox = new_mailbox(server)
    [uid, _] = mailbox.deliver([ONE, TWO])
    mailbox.flag([uid], r"\Deleted")
    credentials = Credentials(mailbox.user, Secret(mailbox.password))
    account = Account(Endpoint("127.0.0.1", server.imap_port, TlsMode.NONE), credentials, "INBOX", Policy())
    threads = Threads(1)
    connections = Connections(PATIENT, Limits(), threads, lambda _: None, clock)
    clients = []
    for expected in (2, 3):
        client, snapshot = connections.open(
            account, lambda: None, lambda client: take_snapshot(client, "INBOX", 10)
        )
        clients.append(client)
        assert len(snapshot) == expected
        connections.give_back(account, client)
        clock.now += UNSELECT_SECONDS
        connections.sweep()
        threads.submit(lambda: None).result()
        mailbox.deliver([THREE])
    connections.close(5)
    assert clients[0] is clients[1]
    assert len(mailbox.messages()) == 4
    threads.stop()
