"""A folder that is not there, before every IMAP server: no client is told to try again, and the log names it."""

from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox


def test_it_is_told_as_what_does_not_mend_itself(start_gateway: StartGateway, upstream_mailbox: Mailbox) -> None:
    gateway = start_gateway(upstream_mailbox.server, maildrop={"folder": "INBOX.Nowhere"})
    with RawClient(gateway.port) as client:
        assert client.log_in(upstream_mailbox).startswith(b"-ERR [SYS/PERM] ")
    assert "opening the folder INBOX.Nowhere: " in gateway.wait_for("login failed")["error"]
