"""SIGTERM: no new connections, sessions in transfer finish, exit status 0."""

import signal
import socket
import time

import pytest

from gateway.app.gateway import DRAIN_QUIET_SECONDS
from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox
from tests.servers.messages import large
from tests.servers.tls import Certificates


def test_an_idle_gateway_ends_at_once_with_status_0(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    assert start_gateway(mailbox.server).stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_transfer_under_way_is_finished_up_to_its_quit(
    start_gateway: StartGateway, mailbox: Mailbox, number: signal.Signals
) -> None:
    message = large(20_000_000)
    mailbox.deliver([message, b"Subject: second\r\n\r\n"])
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as client:
        client.log_in(mailbox)
        client.send(b"RETR 1\r\n")
        assert client.line().startswith(b"+OK")
        gateway.signal(number)
        gateway.wait_for("gateway stopping")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gateway.port), 5)
        assert b"".join(client.body()) == message
        assert client.message("RETR 2") == b"Subject: second\r\n\r\n"
        assert client.ask("DELE 1").startswith(b"+OK")
        assert client.ask("QUIT").startswith(b"+OK")
    assert gateway.wait() == 0
    assert len(mailbox.messages()) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["in clear", "TLS"])
@pytest.mark.parametrize(
    ("wanted", "octets"), [((1,), 200_000), ((4, 5, 6), 60_000)], ids=["streamed", "read ahead"]
)
def test_a_slow_client_gets_the_rest_of_what_was_sent(
    start_gateway: StartGateway,
    mailbox: Mailbox,
    certificates: Certificates,
    wanted: tuple[int, ...],
    octets: int,
    tls: bool,
) -> None:
    message = large(octets)
    mailbox.deliver([message] * 6)
    gateway = start_gateway(mailbox.server)
    port, trusted = (gateway.tls_port, certificates.ca_file) if tls else (gateway.port, None)
    with RawClient(port, tls=trusted) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        client.log_in(mailbox)
        for number in range(1, wanted[0]):
            assert client.message(f"RETR {number}") == message
        for number in wanted:
            time.sleep(0.1)  # the next one comes meanwhile
            client.send(b"RETR %d\r\n" % number)
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("gateway stopping")
        time.sleep(DRAIN_QUIET_SECONDS + 1)  # that long, nothing is under way but what the client has to take
        for _ in wanted:
            assert client.line().startswith(b"+OK")
            assert b"".join(client.body()) == message
        assert client.line() == b""
    assert gateway.wait() == 0


def test_a_session_that_does_nothing_is_not_waited_for(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    mailbox.deliver([b"Subject: stays\r\n\r\n"])
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as client, RawClient(gateway.port) as stranger:
        client.log_in(mailbox)
        client.ask("DELE 1")
        assert gateway.stop() == 0
        assert client.line() == stranger.line() == b""
    assert len(mailbox.messages()) == 1


def test_a_transfer_that_does_not_end_is_cut_at_the_limit(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    mailbox.deliver([large(20_000_000)])
    gateway = start_gateway(mailbox.server, timeouts={"shutdown": 1})
    with RawClient(gateway.port) as client:
        client.log_in(mailbox)
        client.send(b"RETR 1\r\n")
        client.line()
        assert gateway.stop() == 0
        with pytest.raises((EOFError, ConnectionError)):
            list(client.body())


def test_a_second_signal_does_not_wait(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    mailbox.deliver([large(20_000_000)])
    gateway = start_gateway(mailbox.server, timeouts={"shutdown": 3600})
    with RawClient(gateway.port) as client:
        client.log_in(mailbox)
        client.send(b"RETR 1\r\n")
        client.line()
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("gateway stopping")
        assert gateway.stop() == 0
