"""What a script can do with poplib that the other clients do not."""

import poplib
import ssl

from tests.clients import python
from tests.clients.client import SECONDS, Site
from tests.gateway_process import GatewayProcess
from tests.servers.fixtures import Mailbox

MESSAGES = [b"Subject: %d\r\n\r\nbody %d\r\n" % (n, n) for n in range(3)]
LATER = b"Subject: later\r\n\r\nbody\r\n"


def test_what_comes_during_the_session_stays(site: Site, mailbox: Mailbox) -> None:
    mailbox.deliver(MESSAGES)
    with python.session(site, mailbox, "stls") as client:
        mailbox.deliver([LATER])
        assert client.stat() == (3, sum(map(len, MESSAGES)))
        assert len(client.uidl()[1]) == 3
        for number in range(1, 4):
            assert python.retrieve(client, number) == MESSAGES[number - 1]
            client.dele(number)
    (left,) = mailbox.messages()
    assert (left.octets, left.flags) == (LATER, frozenset())


def test_a_session_that_breaks_off_deletes_nothing(gateway: GatewayProcess, site: Site, mailbox: Mailbox) -> None:
    mailbox.deliver(MESSAGES)
    client = poplib.POP3(site.host, site.port, timeout=SECONDS)
    client.user(mailbox.user)
    client.pass_(mailbox.password)
    client.dele(1)
    client.close()
    gateway.wait_for("session ended", user=mailbox.user, how="the client closed the connection")
    with python.session(site, mailbox) as client:
        assert client.stat()[0] == 3


def test_numbers_stay_and_marks_can_be_taken_back(site: Site, mailbox: Mailbox) -> None:
    mailbox.deliver(MESSAGES)
    with python.session(site, mailbox, "pop3s") as client:
        client.dele(1)
        assert client.list()[1] == [b"2 %d" % len(MESSAGES[1]), b"3 %d" % len(MESSAGES[2])]
        assert client.top(3, 0)[1] == [b"Subject: 2", b""]
        client.rset()
        assert client.stat()[0] == 3
        client.dele(2)
    assert [stored.octets for stored in mailbox.messages()] == [MESSAGES[0], MESSAGES[2]]


def test_capabilities(site: Site, mailbox: Mailbox) -> None:
    with python.session(site, mailbox, "pop3s") as client:
        offered = client.capa()
    assert {"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"} <= offered.keys()


def test_every_handshake_ends(site: Site) -> None:
    """A client may be so fast that its first octets are there before the gateway looks."""
    context = ssl.create_default_context(cafile=str(site.ca_file))
    for _ in range(30):
        client = poplib.POP3_SSL(site.host, site.tls_port, timeout=SECONDS / 10, context=context)
        client.quit()
