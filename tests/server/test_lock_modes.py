"""What a second session meets, and what two sessions of one maildrop do to each other."""

from pathlib import Path

from tests.fakes.faults import Say
from tests.fakes.imap import FakeImap
from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.server.sessions import MAIL, behind, delete_first, shown
from tests.servers.fixtures import Mailbox


def test_a_second_session_takes_over_where_that_is_chosen(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, lock="takeover")
    with RawClient(gateway.port) as first, RawClient(gateway.port) as second:
        first.log_in(drop)
        first.ask("DELE 1")
        assert second.log_in(drop) == b"+OK maildrop has 3 messages (50 octets)"
        assert first.line() == b""
        assert second.ask("NOOP") == b"+OK"


def test_sessions_work_side_by_side_where_that_is_chosen(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, lock="shared")
    with RawClient(gateway.port) as first, RawClient(gateway.port) as second:
        first.log_in(drop)
        second.log_in(drop)
        first.ask("DELE 1")
        assert first.ask("QUIT").startswith(b"+OK")
        assert second.ask("STAT") == b"+OK 3 50"
        assert second.ask("RETR 1").startswith(b"-ERR this message was removed by another program")
        assert second.message("RETR 2") == MAIL[1]


def test_what_one_session_promised_is_not_taken_back_by_another(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, tmp_path: Path
) -> None:
    gateway = behind(start_gateway, fake, tmp_path, lock="shared")
    with RawClient(gateway.port) as second:
        second.log_in(drop)
        rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
        assert delete_first(gateway, drop).startswith(b"+OK")
        fake.forgive(rule)
        fake.on("UID STORE", Say("NO [NOPERM] this mailbox is sacred"))
        second.ask("DELE 1")
        assert second.ask("QUIT").startswith(b"-ERR")
    assert shown(gateway, drop) == MAIL[1:]
