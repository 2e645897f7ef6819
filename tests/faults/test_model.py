"""Random sessions, random company in the mailbox, random faults: the invariants of truth.py hold.

A short run is part of the suite; `make soak MINUTES=n` does the same for longer, and MODEL_SEED repeats a run.
"""

import contextlib
import os
import secrets
import sys
from dataclasses import dataclass

import hypothesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.faults.relay import End, Fault, Point, Way
from tests.faults.rig import Rig, Session, Shown, listing
from tests.faults.truth import DELETED, SEEN, Truth
from tests.server.pop3_client import RawClient
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import new_mailbox
from tests.servers.messages import GALLERY, large

OPTIONS = settings(
    max_examples=7,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
# Fewer than the guard's missing_least: what others expunge is no reason to doubt the mailbox.
MOST_MESSAGES = 15
MOST_FAULTS = 3  # armed at once
MESSAGES = [GALLERY["simple"], GALLERY["dot-lines"], GALLERY["bare-lf"], GALLERY["no-final-crlf"], large(150_000)]
MOMENTS = [
    rb"LOGIN ",
    rb"SELECT ",
    rb"UID FETCH 1:",
    rb"UID FETCH \d+ ",
    rb"LOGOUT",
    rb"UID STORE",
    rb"UID EXPUNGE",
]
WAYS, POINTS = st.sampled_from(Way), st.sampled_from(Point)
ENDS = st.sampled_from([End.FIN] * 4 + [End.RST] * 4 + [End.STALL])
TIMES = st.sampled_from([1, None])
NUMBERS = st.integers(0, 1000)  # taken modulo what there is


@dataclass
class Tally:
    """For the soak."""

    operations: int = 0
    faults: int = 0
    sessions: int = 0
    kills: int = 0


class Machine(RuleBasedStateMachine):
    """One maildrop and all that happens to it. `rig` and `dovecot` are set in a subclass."""

    rig: Rig
    dovecot: Dovecot
    tally: Tally

    def __init__(self) -> None:
        super().__init__()
        self.rig.relay.heal()
        self.truth = Truth(new_mailbox(self.dovecot))
        self.client: RawClient | None = None
        self.shown = Shown({}, {})
        self.marked: set[int] = set()  # message numbers
        self.armed: list[Fault] = []

    # Others, in the mailbox

    @initialize(count=st.integers(1, 6))
    def begin(self, count: int) -> None:
        self.truth.deliver([MESSAGES[number % len(MESSAGES)] for number in range(count)])

    @rule(act=st.sampled_from(["deliver", "flag", "delete", "expunge", "expunge flagged"]), which=NUMBERS)
    def others(self, act: str, which: int) -> None:
        self.tally.operations += 1
        if act == "deliver":
            if len(self.truth.octets) < MOST_MESSAGES:
                self.truth.deliver([MESSAGES[which % len(MESSAGES)]])
            return
        present = self.truth.mailbox.messages()
        if act == "expunge flagged":  # whoever flagged it
            if flagged := [message.uid for message in present if DELETED in message.flags]:
                self.truth.expunge(*flagged)
        elif present:
            uid = present[which % len(present)].uid
            if act == "expunge":
                self.truth.expunge(uid)
            else:
                self.truth.flag(uid, DELETED if act == "delete" else (SEEN, r"\Flagged")[which % 2])

    # The way to the upstream

    @precondition(lambda self: len(self.armed) < MOST_FAULTS)
    @rule(moment=st.sampled_from(MOMENTS), way=WAYS, point=POINTS, end=ENDS, times=TIMES)
    def arm(self, moment: bytes, way: Way, point: Point, end: End, times: int | None) -> None:
        self.tally.operations += 1
        pattern, since = (moment + rb"[^\r\n]*\r\n", b"") if way is Way.UP else (b".+", moment)
        self.armed.append(self.rig.relay.arm(Fault(way, pattern, point, end, since, times)))

    @rule(what=st.sampled_from(["heal", "heal", "slow", "cut", "reset"]))
    def change_the_way(self, what: str) -> None:
        self.tally.operations += 1
        if what == "heal":
            self._heal()
        elif what == "slow":
            self.rig.relay.latency = 0.01
        else:
            self.tally.faults += bool(self.client)
            self.rig.relay.cut(End.FIN if what == "cut" else End.RST)

    def _heal(self) -> None:
        self.tally.faults += sum(fault.struck for fault in self.armed)
        self.armed.clear()
        self.rig.relay.heal()

    # The POP3 client

    @precondition(lambda self: self.client is None)
    @rule()
    def log_in(self) -> None:
        self.tally.operations += 1
        if not self.armed:
            self._log_in_healthy()
            return
        before = self._present()
        client = self.rig.client()
        reply = client.log_in(self.truth.mailbox)
        if reply.startswith(b"+OK"):
            self._enter(Session(client, listing(client)))
            self.truth.check_shown(self.shown, before)
        else:
            assert reply.startswith((b"-ERR [SYS/TEMP]", b"-ERR [IN-USE]")), reply
            client.close()

    @precondition(lambda self: self.client is None)
    @rule()
    def heal_and_log_in(self) -> None:
        self.tally.operations += 1
        self._heal()
        self._log_in_healthy()

    @precondition(lambda self: self.client is not None)
    @rule(which=NUMBERS, lines=st.none() | st.integers(0, 5))
    def retr_or_top(self, which: int, lines: int | None) -> None:
        if number := self._number(which):
            self._fetch(number, lines)

    @precondition(lambda self: self.client is not None)
    @rule(which=st.lists(NUMBERS, min_size=1, max_size=3))
    def dele(self, which: list[int]) -> None:
        for number in map(self._number, which):
            if number:
                marked = number in self.marked
                assert self._ask(f"DELE {number}").startswith(b"-ERR" if marked else b"+OK")
                self.marked.add(number)

    @precondition(lambda self: self.client is not None)
    @rule(reset=st.booleans())
    def look(self, reset: bool) -> None:
        """Whatever the others did, nothing has moved."""
        if reset:
            assert self._ask("RSET").startswith(b"+OK")
            self.marked.clear()
        assert self.client
        self.tally.operations += 1
        again = listing(self.client)
        kept = self.shown.uids.keys() - self.marked
        assert again.uids == {number: self.shown.uids[number] for number in kept}
        assert again.sizes == {number: self.shown.sizes[number] for number in kept}
        assert self._ask("STAT") == f"+OK {len(kept)} {sum(again.sizes.values())}".encode()

    @precondition(lambda self: self.client is not None)
    @rule()
    def quit(self) -> None:
        reply = self._ask("QUIT")
        assert reply.startswith((b"+OK", b"-ERR [SYS/")), reply
        self._leave(asked=True, reply=reply)

    @precondition(lambda self: self.client is not None)
    @rule(which=NUMBERS, moment=st.sampled_from(MOMENTS[-2:]), way=WAYS, point=POINTS, end=ENDS, times=TIMES)
    def delete_and_quit_on_a_bad_way(
        self, which: int, moment: bytes, way: Way, point: Point, end: End, times: int | None
    ) -> None:
        """What is put to the test most."""
        self.dele([which])
        self.arm(moment, way, point, end, times)
        self.quit()

    @precondition(lambda self: self.client is not None)
    @rule(asked=st.booleans())
    def go(self, asked: bool) -> None:
        """Close the connection, and wait for no reply to QUIT."""
        assert self.client
        self.tally.operations += 1
        if asked:
            self.client.send(b"QUIT\r\n")
        self._leave(asked=asked)

    @rule(chance=st.integers(0, 11), quitting=st.booleans())
    def kill(self, chance: int, quitting: bool) -> None:
        """kill -9 of the gateway, right after a QUIT perhaps. It costs a second, so not so often."""
        if chance:
            return
        self.tally.operations += 1
        self.tally.kills += 1
        asked = quitting and self.client is not None
        if asked and self.client:
            self.client.send(b"QUIT\r\n")
        self.rig.kill()
        self._leave(asked=asked)
        self.rig.start()

    # The end

    def teardown(self) -> None:
        try:
            if self.client:
                self._leave()
            self._heal()
            self._log_in_healthy()
            self.quit()
            self.truth.check_kept()
            self.rig.check_log()
        finally:
            self._heal()
            if self.client:
                self.client.close()

    # Steps

    def _ask(self, command: str) -> bytes:
        assert self.client
        self.tally.operations += 1
        return self.client.ask(command)

    def _present(self) -> set[int]:
        return {message.uid for message in self.truth.check_upstream()}

    def _number(self, which: int) -> int:
        return which % len(self.shown.uids) + 1 if self.shown.uids else 0

    def _log_in_healthy(self) -> None:
        """An update of the session before may go on until its connection is given up; then this one waits."""
        session = self.rig.log_in(self.truth.mailbox)
        self._enter(session)
        self.truth.check_shown(session.shown, set(session.shown.uids.values()) | self._present())

    def _enter(self, session: Session) -> None:
        self.tally.sessions += 1
        self.client, self.shown = session.client, session.shown

    def _leave(self, *, asked: bool = False, reply: bytes = b"") -> None:
        assert self.client or not asked
        if asked:
            self.truth.quit({self.shown.uids[number] for number in self.marked}, reply)
        if self.client:
            self.client.close()
        self.client, self.shown, self.marked = None, Shown({}, {}), set()
        self.truth.check_upstream()

    def _fetch(self, number: int, lines: int | None) -> None:
        assert self.client
        uid = self.shown.uids[number]
        reply = self._ask(f"RETR {number}" if lines is None else f"TOP {number} {lines}")
        if not reply.startswith(b"+OK"):
            self._check_refusal(number, reply)
            return
        assert number not in self.marked
        if lines is None:
            self.truth.retrieved.add(uid)  # the dot may be on its way when the connection breaks
        try:
            received = b"".join(self.client.body())
        except (EOFError, ConnectionResetError):
            self._leave()
            return
        if lines is None:
            self.truth.check_message(uid, received)
        else:
            self.truth.check_top(uid, lines, received)

    def _check_refusal(self, number: int, reply: bytes) -> None:
        """Marked, or expunged by others, or the way is broken: then and only then."""
        assert reply.startswith(b"-ERR "), reply
        excused = number in self.marked or self.shown.uids[number] in self.truth.expunged or self.armed
        assert excused, f"RETR or TOP of {self.shown.uids[number]} got {reply!r}: {self.truth}"


def run(dovecot: Dovecot, rig: Rig, tally: Tally, seed: int, options: settings = OPTIONS) -> None:
    machine = type("RandomSessions", (Machine,), {"rig": rig, "dovecot": dovecot, "tally": tally})
    run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=options)


def test_random_sessions(dovecot: Dovecot, rig: Rig) -> None:
    seed = int(os.environ.get("MODEL_SEED", secrets.randbelow(2**32)))
    sys.stdout.write(f"MODEL_SEED={seed}\n")
    tally = Tally()
    with contextlib.ExitStack() as report:
        report.callback(lambda: sys.stdout.write(f"{tally}\n"))
        run(dovecot, rig, tally, seed)
    assert tally.sessions
