"""Large messages and large mailboxes: memory is bounded, octets are right, round trips are few."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tests.fakes.imap import FakeImap
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.messages import large


def peak_memory(gateway: GatewayProcess) -> int:
    """Octets that were resident at most."""
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def digest(lines: Iterable[bytes]) -> str:
    made = hashlib.sha256()
    for line in lines:
        made.update(line)
    return made.hexdigest()


def test_a_message_of_100_mb_passes_in_bounded_memory(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    message = large(100_000_000)
    mailbox.deliver([message])
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as client:
        client.log_in(mailbox)
        before = peak_memory(gateway)
        client.send(b"RETR 1\r\n")
        assert client.line() == b"+OK 100000000 octets"
        assert digest(client.body()) == hashlib.sha256(message).hexdigest()
    assert peak_memory(gateway) - before < 8_000_000


def test_a_hundred_thousand_messages_open(start_gateway: StartGateway, fake: FakeImap) -> None:
    drop = new_mailbox(fake)
    message = b"Subject: one of many\r\n\r\n"
    drop.deliver([message] * 100_000)
    gateway = start_gateway(fake)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert client.ask("STAT") == b"+OK 100000 %d" % (100_000 * len(message))
        listing = client.message("UIDL").splitlines()
        assert len(listing) == 100_000
        assert listing[-1] == b"100000 %08x%08x" % (drop.uid_validity(), 100_000)
        assert len(client.message("LIST").splitlines()) == 100_000
        assert client.message("RETR 77777") == message
        assert client.ask("QUIT").startswith(b"+OK")


def test_a_cold_login_takes_as_few_round_trips_as_imap_allows(start_gateway: StartGateway, fake: FakeImap) -> None:
    drop = new_mailbox(fake)
    drop.deliver([b"Subject: one\r\n\r\n"] * 3)
    gateway = start_gateway(fake)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("QUIT")
    assert gateway.stop() == 0
    assert fake.verbs == ["LOGIN", "SELECT", "UID FETCH", "LOGOUT"]
    assert fake.counts.round_trips == 3


def test_top_fetches_no_more_than_it_shows(start_gateway: StartGateway, fake: FakeImap) -> None:
    drop = new_mailbox(fake)
    header = b"Subject: big\r\n\r\n"
    drop.deliver([header + b"a line of the body\r\n" * 500_000])
    gateway = start_gateway(fake)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        before = fake.counts.octets_out
        assert client.message("TOP 1 0") == header
        assert client.message("TOP 1 3") == header + b"a line of the body\r\n" * 3
        assert fake.counts.octets_out - before < 40_000


def test_top_of_a_header_longer_than_the_first_guess_is_whole(start_gateway: StartGateway, fake: FakeImap) -> None:
    drop = new_mailbox(fake)
    header = b"".join(b"Received: from host%d\r\n" % number for number in range(20_000)) + b"\r\n"
    drop.deliver([header + b"body\r\n" * 1_000_000])
    gateway = start_gateway(fake)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert client.message("TOP 1 2") == header + b"body\r\n" * 2
        assert client.message("TOP 1 99999999") == header + b"body\r\n" * 1_000_000


def test_one_slow_client_holds_nobody_up(start_gateway: StartGateway, mailbox: Mailbox) -> None:
    message = large(20_000_000)
    mailbox.deliver([message])
    gateway = start_gateway(mailbox.server)
    with RawClient(gateway.port) as slow:
        slow.log_in(mailbox)
        slow.send(b"RETR 1\r\n")
        slow.line()
        with RawClient(gateway.port) as other:
            assert other.log_in(mailbox).startswith(b"-ERR [IN-USE]")
        assert b"".join(slow.body()) == message
