"""What a second session meets, and what two sessions of one maildrop do to each other."""

import contextlib
from pathlib import Path

from tests.fakes.faults import Delay, Say
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


def test_sessions_that_end_together_make_one_copy_of_what_an_earlier_one_promised(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    fake.settings.capabilities = [name for name in fake.settings.capabilities if name != "MOVE"]
    drop.deliver([], "Bin")
    gateway = behind(start_gateway, fake, on_delete="trash", trash="Bin", lock="shared")
    rule = fake.on("UID COPY", Say("NO [UNAVAILABLE] later"))
    assert delete_first(gateway, drop).startswith(b"+OK")
    fake.forgive(rule)
    fake.on("UID COPY", Delay(0.5))
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(RawClient(gateway.port)) for _ in range(4)]
        for session in sessions:
            assert session.log_in(drop).startswith(b"+OK maildrop has 2 messages")
        for session in sessions:
            session.send(b"QUIT\r\n")
        assert [session.line() for session in sessions] == [b"+OK bye"] * 4
    assert [stored.octets for stored in drop.messages("Bin")] == MAIL[:1]
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]
