"""What a QUIT took out of the mailbox is no reason to doubt it, wherever that QUIT was interrupted."""

import time

import pytest

from tests.faults.relay import End, Fault, Way
from tests.faults.rig import Rig
from tests.faults.truth import Truth
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox
from tests.servers.messages import GALLERY

MANY = 25  # more than maildrop.guard.missing_least
WAIT_SECONDS = 5.0


@pytest.fixture
def truth(mailbox: Mailbox) -> Truth:
    truth = Truth(mailbox)
    truth.deliver([GALLERY["simple"]] * MANY)
    return truth


def mark_all(rig: Rig, truth: Truth) -> RawClient:
    client = rig.client()
    assert client.log_in(truth.mailbox).startswith(b"+OK")
    for number in range(1, MANY + 1):
        assert client.ask(f"DELE {number}").startswith(b"+OK")
    return client


def log_in_twice(rig: Rig, truth: Truth) -> None:
    for _ in range(2):
        session = rig.log_in(truth.mailbox)
        assert not session.shown.uids
        assert session.client.ask("QUIT") == b"+OK bye"
        session.client.close()
    truth.check_kept()


def test_after_a_quit_that_was_deferred_and_a_login_that_kept_its_promises(rig: Rig, truth: Truth) -> None:
    with mark_all(rig, truth) as client:
        rig.relay.arm(Fault(Way.UP, b"UID STORE", times=None))
        reply = client.ask("QUIT")
    assert reply == b"+OK 25 messages deleted"
    truth.quit(set(truth.octets), reply)
    rig.relay.heal()
    log_in_twice(rig, truth)


def test_after_a_session_that_kept_promises_and_deleted_more(rig: Rig, truth: Truth) -> None:
    with mark_all(rig, truth) as client:
        rig.relay.arm(Fault(Way.UP, b"UID STORE", times=None))
        truth.quit(set(truth.octets), client.ask("QUIT"))
    rig.relay.heal()
    truth.deliver([GALLERY["simple"]])
    session = rig.log_in(truth.mailbox)
    assert session.client.ask("DELE 1") == b"+OK message 1 deleted"
    truth.quit(set(session.shown.uids.values()), session.client.ask("QUIT"))
    session.client.close()
    log_in_twice(rig, truth)


def test_after_a_quit_that_was_done_and_its_last_answer_lost(rig: Rig, truth: Truth) -> None:
    with mark_all(rig, truth) as client:
        rig.relay.arm(Fault(Way.DOWN, b".+", since=b"UID EXPUNGE"))
        rig.relay.refuse = True
        reply = client.ask("QUIT")
    assert reply == b"+OK 25 messages deleted"
    truth.quit(set(truth.octets), reply)
    rig.relay.heal()
    assert not truth.check_upstream()
    log_in_twice(rig, truth)


def test_after_a_quit_that_was_done_and_killed(rig: Rig, truth: Truth) -> None:
    with mark_all(rig, truth) as client:
        fault = rig.relay.arm(Fault(Way.DOWN, b".+", end=End.STALL, since=b"UID EXPUNGE"))
        client.send(b"QUIT\r\n")
        end = time.monotonic() + WAIT_SECONDS
        while not fault.struck and time.monotonic() < end:
            time.sleep(0.01)
        rig.kill()
    truth.quit(set(truth.octets), b"")
    rig.relay.heal()
    assert not truth.check_upstream()
    rig.start()
    log_in_twice(rig, truth)
