"""Every command of a session, cut at every point: then the client comes back, and nothing is lost or undone."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.relay import End, Fault, Point, Way
from tests.faults.rig import Rig
from tests.faults.truth import DELETED, Truth
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox
from tests.servers.messages import GALLERY, large

COMMANDS = {
    "LOGIN": rb"LOGIN [^\r\n]*\r\n",
    "SELECT": rb"SELECT [^\r\n]*\r\n",
    "listing": rb"UID FETCH 1:\* [^\r\n]*\r\n",
    "body": rb"UID FETCH 1 [^\r\n]*\r\n",
    "STORE": rb"UID STORE [^\r\n]*\\Deleted[^\r\n]*\r\n",
    "EXPUNGE": rb"UID EXPUNGE [^\r\n]*\r\n",
    "Seen": rb"UID STORE [^\r\n]*\\Seen[^\r\n]*\r\n",
    "LOGOUT": rb"LOGOUT\r\n",
}
BODY = large(150_000)  # some pieces long


@dataclass(frozen=True, slots=True)
class Case:
    command: str
    way: Way
    point: Point
    end: End
    times: int | None  # None: the second attempt fails likewise

    def fault(self) -> Fault:
        pattern = COMMANDS[self.command]
        if self.way is Way.UP:
            return Fault(self.way, pattern, self.point, self.end, times=self.times)
        answer = rb"[^\r\n]* OK [^\r\n]*\r\n\Z" if self.point is Point.AFTER else rb".+"
        return Fault(self.way, answer, self.point, self.end, since=pattern, times=self.times)

    def __str__(self) -> str:
        what = "command" if self.way is Way.UP else "answer"
        often = "ever" if self.times is None else "once"
        return f"{self.command}-{self.point.name.lower()}-{what}-{self.end.name}-{often}"


def cuts() -> Iterator[Case]:
    for command, way, point in itertools.product(COMMANDS, Way, Point):
        yield Case(command, way, point, End.FIN, 1)
        yield Case(command, way, point, End.RST, None)


def stalls() -> Iterator[Case]:
    for command, way in [("body", Way.DOWN), ("STORE", Way.UP), ("EXPUNGE", Way.UP), ("EXPUNGE", Way.DOWN)]:
        yield Case(command, way, Point.WITHIN, End.STALL, None)


@pytest.mark.parametrize("case", [*cuts(), *stalls()], ids=str)
def test_a_cut_loses_nothing_and_a_promise_is_kept(rig: Rig, mailbox: Mailbox, case: Case) -> None:
    truth = Truth(mailbox)
    truth.deliver([BODY, GALLERY["dot-lines"], GALLERY["simple"], GALLERY["simple"]])
    truth.flag(3, DELETED)
    fault = rig.relay.arm(case.fault())
    reply = session(rig, truth)
    if case.command == "LOGOUT":  # nobody waits for it
        assert reply.startswith(b"+OK")
    else:
        assert fault.struck, "the session never came there"
    truth.check_upstream()
    rig.relay.heal()
    come_back(rig, truth)


def session(rig: Rig, truth: Truth) -> bytes:
    """RETR of all but one, DELE 1 and 2, QUIT, as far as it goes; the reply to QUIT, or the last one."""
    with rig.client() as client:
        reply = client.log_in(truth.mailbox)
        if not reply.startswith(b"+OK"):
            assert reply.startswith(b"-ERR [SYS/TEMP]"), reply
            return reply
        for number in (4, 2, 1):
            reply = retrieve(client, truth, number)
            if not reply:
                return reply  # the message broke off, and the connection with it: nobody said QUIT
        assert client.ask("DELE 1") == b"+OK message 1 deleted"
        assert client.ask("DELE 2") == b"+OK message 2 deleted"
        reply = client.ask("QUIT")
        truth.quit({1, 2}, reply)
        assert reply
        return reply


def retrieve(client: RawClient, truth: Truth, number: int) -> bytes:
    reply = client.ask(f"RETR {number}")
    if not reply.startswith(b"+OK"):
        assert reply.startswith(b"-ERR [SYS/TEMP]"), reply
        return reply
    try:
        received = b"".join(client.body())
    except (EOFError, ConnectionResetError):
        return b""
    truth.check_message(number, received)
    truth.retrieved.add(number)
    return reply


def come_back(rig: Rig, truth: Truth) -> None:
    """A healthy session, and all is as it was said."""
    before = {message.uid for message in truth.check_upstream()}
    session = rig.log_in(truth.mailbox)
    truth.check_shown(session.shown, before)
    for number, uid in session.shown.uids.items():
        truth.check_message(uid, session.client.message(f"RETR {number}"))
        truth.retrieved.add(uid)
    assert session.client.ask("QUIT") == b"+OK bye"
    session.client.close()
    truth.check_kept()
