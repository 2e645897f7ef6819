"""What QUIT was answered with holds, whatever the upstream does then."""

import sqlite3
import time
from pathlib import Path

import pytest

from gateway.store import LEDGER_FILE
from tests.fakes.faults import Close, Delay, Say, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.imap_store import Message
from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.server.sessions import MAIL, behind, delete, delete_first, shown
from tests.servers.fixtures import Mailbox


@pytest.mark.parametrize("verb", ["UID STORE", "UID EXPUNGE"])
@pytest.mark.parametrize(
    "fault", [Say("NO [UNAVAILABLE] later"), Close(), Close(done=True), Close(octets=3)], ids=repr
)
def test_what_the_upstream_cannot_do_now_is_done_by_the_next_session(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, verb: str, fault: Fault
) -> None:
    gateway = behind(start_gateway, fake)
    rule = fake.on(verb, fault)
    assert delete_first(gateway, drop).startswith(b"+OK")
    assert shown(gateway, drop) == MAIL[1:]
    fake.forgive(rule)
    assert shown(gateway, drop) == MAIL[1:]
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]


def test_an_upstream_that_never_will_is_told_and_nothing_is_hidden(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake)
    fake.on("UID STORE", Say("NO [NOPERM] this mailbox is sacred"))
    assert delete_first(gateway, drop).startswith(b"-ERR [SYS/PERM] some deleted messages may not be removed")
    assert shown(gateway, drop) == MAIL


def test_the_reply_to_quit_does_not_wait_for_a_slow_upstream(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake)
    fake.on("UID STORE", Stall(), times=1)
    began = time.monotonic()
    assert delete_first(gateway, drop).startswith(b"+OK")
    assert time.monotonic() - began < 4  # Thunderbird waits three seconds, and the upstream is silent for five
    gateway.wait_for("deletion deferred")
    gateway.wait_for("session ended")
    assert shown(gateway, drop) == MAIL[1:]
    assert len(drop.messages()) == 2


def test_a_promise_survives_a_killed_gateway(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, tmp_path: Path
) -> None:
    first = behind(start_gateway, fake, tmp_path)
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(first, drop).startswith(b"+OK")
    first.kill()
    fake.forgive(rule)
    assert shown(behind(start_gateway, fake, tmp_path), drop) == MAIL[1:]
    assert len(drop.messages()) == 2


def test_a_promise_that_stalls_delays_no_later_login(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    """It is tried when nobody waits: after the session, and not at all where one does wait."""
    gateway = behind(start_gateway, fake, lock="takeover")
    fake.on("UID STORE", Stall())
    assert delete_first(gateway, drop).startswith(b"+OK")
    for _ in range(3):
        before = len(fake.connections)
        with RawClient(gateway.port) as client:
            assert client.log_in(drop).startswith(b"+OK maildrop has 2 messages")
            assert "UID STORE" not in fake.connections[before].verbs  # no client waits for it
            assert client.ask("QUIT").startswith(b"+OK")
    gateway.wait_for("deletion deferred")


def test_a_session_that_is_cut_off_keeps_older_promises_all_the_same(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake)
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(gateway, drop).startswith(b"+OK")
    fake.forgive(rule)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("DELE 1")
    gateway.wait_for("deferred deletions carried out")
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]


def test_a_refusal_that_comes_just_before_the_reply_is_told_and_taken_back(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, tmp_path: Path
) -> None:
    """The ledger is busy when the intent is to be taken back, and the time for the reply is over meanwhile."""
    gateway = behind(start_gateway, fake, tmp_path)
    fake.on("UID STORE", Delay(1.5), Say("NO [NOPERM] this mailbox is sacred"))
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("DELE 1")
        client.send(b"QUIT\r\n")
        while "UID STORE" not in fake.verbs:
            time.sleep(0.01)
        database = sqlite3.connect(tmp_path / LEDGER_FILE, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        time.sleep(2.5)
        database.close()
        assert client.line().startswith(b"-ERR [SYS/")
    assert shown(gateway, drop) == MAIL


def test_what_is_away_for_a_moment_within_quit_is_still_promised_when_it_is_back(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    """The connection is lost, and the new one shows an empty mailbox, in which nothing is left to be deleted."""
    folder = fake._folder(drop.user, "INBOX")
    messages = folder.messages

    def show(shown: list[Message]) -> None:
        folder.messages = shown
        folder.version += 1

    def lose(*_: object) -> Fault:
        show([])
        return Close()

    gateway = behind(start_gateway, fake)
    fake.on("UID STORE", lose, times=1)
    assert delete_first(gateway, drop) == b"+OK 1 message deleted"
    show(messages)
    assert shown(gateway, drop) == MAIL[1:]
    gateway.wait_for("deferred deletions carried out")
    assert len(drop.messages()) == 2


def test_one_promise_that_is_always_refused_does_not_hold_up_the_others(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    drop.deliver(MAIL)
    gateway = behind(start_gateway, fake)
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete(gateway, drop, 1, 2, 3, 4, 5) == b"+OK 5 messages deleted"
    fake.forgive(rule)
    fake.on("UID STORE", Say("NO [NOPERM] held for a court"), uid=2)
    assert shown(gateway, drop) == MAIL[2:]
    assert gateway.wait_for("deferred deletions carried out")["messages"] == 4
    assert [stored.uid for stored in drop.messages()] == [2, 6]


def test_a_refusal_after_the_reply_is_a_deferral_and_is_told_with_its_number(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake)
    fake.on("UID STORE", Delay(3), Say("NO [NOPERM] this mailbox is sacred"))
    assert delete(gateway, drop, 1, 2) == b"+OK 2 messages deleted"
    deferred = gateway.wait_for("deletion deferred")
    assert deferred["messages"] == 2
    assert "sacred" in deferred["error"]


def test_a_refused_quit_keeps_older_promises_all_the_same(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake)
    rule = fake.on("UID EXPUNGE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(gateway, drop).startswith(b"+OK")
    fake.forgive(rule)
    rule = fake.on("UID STORE", Say("NO [NOPERM] this one is sacred"), uid=2)
    assert delete_first(gateway, drop).startswith(b"-ERR")
    gateway.wait_for("deferred deletions carried out")
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]


def test_an_update_that_the_end_of_the_gateway_cuts_off_is_told_and_done_later(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, tmp_path: Path
) -> None:
    gateway = behind(start_gateway, fake, tmp_path)
    rule = fake.on("UID STORE", Stall())
    assert delete(gateway, drop, 1, 2) == b"+OK 2 messages deleted"
    gateway.stop()
    told = [event["messages"] for event in gateway.events if event["event"] == "deletion deferred"]
    assert told == [2]
    fake.forgive(rule)
    assert shown(behind(start_gateway, fake, tmp_path), drop) == MAIL[2:]
