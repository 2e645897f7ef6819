"""Messages that come before they are asked for: few commands, the same octets, and what is odd stays alone."""

import pytest

from tests.fakes.faults import Close, Delay, Say, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.row_faults import BodyIs, NoRow
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, new_mailbox

HEADER = b"Subject: a message\r\n\r\n"
COUNT = 300


def mail(count: int = COUNT) -> list[bytes]:
    return [HEADER + b"number %d\r\n" % number * (number % 7 + 1) for number in range(1, count + 1)]


@pytest.fixture
def drop(fake: FakeImap) -> Mailbox:
    made = new_mailbox(fake)
    made.deliver(mail())
    return made


@pytest.fixture
def gateway(start_gateway: StartGateway, fake: FakeImap) -> GatewayProcess:
    upstream = {
        "url": f"imaps://{fake.host}:{fake.imaps_port}",
        "ca_file": str(fake.ca_file),
        "timeouts": {"response": 3},
    }
    return start_gateway(fake, upstream=upstream)


def fetches(fake: FakeImap) -> int:
    return fake.verbs.count("UID FETCH") - 1  # one was for the listing


def test_three_hundred_retrs_take_a_handful_of_commands(
    gateway: GatewayProcess, fake: FakeImap, drop: Mailbox
) -> None:
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert [client.message(f"RETR {number}") for number in range(1, COUNT + 1)] == mail()
    assert fetches(fake) <= 9
    assert fake.counts.connections == 1


def test_so_do_three_hundred_tops_and_they_fetch_beginnings(
    gateway: GatewayProcess, fake: FakeImap, drop: Mailbox
) -> None:
    drop.deliver([HEADER + b"a line of a large body\r\n" * 10_000] * 20)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        before = fake.counts.octets_out
        for number in range(1, COUNT + 21):
            assert client.message(f"TOP {number} 0") == HEADER
    assert fetches(fake) <= 12
    assert fake.counts.octets_out - before < 20 * 16_000 + 40 * 1000


def test_a_client_that_jumps_about_costs_no_more_than_it_asks_for(
    gateway: GatewayProcess, fake: FakeImap, drop: Mailbox
) -> None:
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        for number in range(COUNT, COUNT - 20, -1):
            assert client.message(f"RETR {number}") == mail()[number - 1]
    assert fetches(fake) == 20


def test_pipelined_retrs_are_answered_in_order(gateway: GatewayProcess, fake: FakeImap, drop: Mailbox) -> None:
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.send(b"".join(b"RETR %d\r\n" % number for number in range(1, COUNT + 1)))
        for message in mail():
            assert client.line().startswith(b"+OK")
            assert b"".join(client.body()) == message
    assert fetches(fake) <= 9


def test_what_others_expunge_meanwhile_is_missed_when_it_is_asked_for_and_nothing_else_is(
    gateway: GatewayProcess, fake: FakeImap, drop: Mailbox
) -> None:
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert client.message("RETR 1") == mail()[0]
        drop.expunge([3, 4])
        for number in (2, *range(5, 60)):
            assert client.message(f"RETR {number}") == mail()[number - 1]
        assert client.ask("RETR 3").startswith(b"-ERR this message was removed by another program")


@pytest.mark.parametrize("fault", [Close(octets=20), Say("NO [SERVERBUG] sorry")], ids=repr)
def test_a_message_that_breaks_every_answer_it_is_in_breaks_none_of_the_others(
    gateway: GatewayProcess, fake: FakeImap, drop: Mailbox, fault: Close
) -> None:
    fake.on("UID FETCH", fault, uid=7, has="BODY")
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        for number in range(1, 30):
            if number == 7:
                assert client.ask("RETR 7").startswith(b"-ERR [SYS/")
            else:
                assert client.message(f"RETR {number}") == mail()[number - 1]


def test_a_message_that_is_not_as_long_as_listed_is_looked_at_alone(
    gateway: GatewayProcess, fake: FakeImap, drop: Mailbox
) -> None:
    """Cut short, made up, or Exchange: what open_body does about it is not skipped by reading ahead."""
    rule = fake.on("UID FETCH", BodyIs(b"short\r\n"), uid=5, has="BODY", connection=1)
    fake.on("UID FETCH", NoRow(), uid=6, has="BODY", connection=1)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        for number in range(1, 10):
            assert client.message(f"RETR {number}") == mail()[number - 1]
    assert rule.hits
    assert fake.counts.connections == 2  # the second one told the truth


def test_a_client_that_quits_while_more_is_on_its_way_gets_what_it_asked_for(
    gateway: GatewayProcess, fake: FakeImap, drop: Mailbox
) -> None:
    fake.on("UID FETCH", Delay(0.5), has="BODY")
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        for number in range(1, 5):
            assert client.message(f"RETR {number}") == mail()[number - 1]
        client.ask("DELE 1")
        assert client.ask("QUIT") == b"+OK 1 message deleted"
    assert len(drop.messages()) == COUNT - 1
    assert [stored.uid for stored in drop.messages() if "\\Seen" in stored.flags] == [2, 3, 4]


def test_a_client_waits_for_silence_once(gateway: GatewayProcess, fake: FakeImap, drop: Mailbox) -> None:
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert client.message("RETR 1") == mail()[0]
        rule = fake.on("UID FETCH", Stall(), has="BODY")
        assert client.ask("RETR 2").startswith(b"-ERR [SYS/TEMP]")
        assert rule.hits == 1
        fake.forgive(rule)
        assert client.message("RETR 2") == mail()[1]
