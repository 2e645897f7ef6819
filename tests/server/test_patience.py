"""How long clients may take."""

import contextlib

from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox


def test_a_client_that_never_logs_in_is_closed(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server, timeouts={"login": 0.5})
    with RawClient(gateway.port) as client:
        assert client.line() == b""
    assert gateway.wait_for("connection ended without a login")["how"] == "no login in time"


def test_chatter_does_not_prolong_the_time_for_a_login(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server, timeouts={"login": 1})
    # What the client says in that very moment is not read any more, and then the system resets the connection.
    with RawClient(gateway.port) as client, contextlib.suppress(ConnectionError, EOFError):
        while client.ask("CAPA"):
            list(client.body())
    assert gateway.wait_for("connection ended without a login")["how"] == "no login in time"


def test_an_idle_session_ends_silently_and_deletes_nothing(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    mailbox.deliver([b"Subject: stays\r\n\r\n"])
    gateway = start_gateway(mailbox.server, timeouts={"idle": 0.5})
    with RawClient(gateway.port) as client:
        client.log_in(mailbox)
        client.ask("DELE 1")
        assert client.line() == b""
    assert gateway.wait_for("session ended")["how"] == "idle for too long"
    assert len(mailbox.messages()) == 1


def test_a_client_that_takes_nothing_is_dropped(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    mailbox.deliver([b"Subject: big\r\n\r\n" + b"x" * 998 * 20_000])
    gateway = start_gateway(mailbox.server, timeouts={"stalled": 0.5})
    with RawClient(gateway.port) as client:
        client.log_in(mailbox)
        client.send(b"RETR 1\r\n")
        assert gateway.wait_for("session ended")["how"] == "the client took nothing for too long"


def test_a_half_closed_client_still_gets_its_answers(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as client:
        client.send(f"USER {mailbox.user}\r\nPASS {mailbox.password}\r\nSTAT\r\nQUIT\r\n".encode())
        client.socket.shutdown(1)
        assert [client.line()[:3] for _ in range(5)] == [b"+OK", b"+OK", b"+OK", b"+OK", b""]
