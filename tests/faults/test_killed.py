"""kill -9 at each step of QUIT: what the client was told stays true, and nothing else is lost.

One kill meets many sessions, each held by the upstream at a step of its own: to start a gateway takes a while.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.fakes.faults import Close, Stall
from tests.fakes.imap import FakeImap, Rule
from tests.fakes.imap_connection import Fault
from tests.faults.rig import Rig
from tests.faults.truth import DELETED, Truth
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import new_mailbox
from tests.servers.messages import GALLERY

# The upstream answers nothing for longer than the client waits for the reply to QUIT.
PATIENT = {"connect": 5, "response": 30, "open": 30}
WAIT_SECONDS = 10.0
# For what must not happen to happen.
GRACE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Step:
    """Where QUIT stands when the process is killed: the command that is not answered (any more)."""

    name: str
    verb: str
    fault: Fault
    has: str = ""
    left: frozenset[int] = frozenset({1, 2, 3, 4})  # in the mailbox then

    def __str__(self) -> str:
        return self.name


GONE = frozenset({3, 4})
STEPS = [
    Step("before STORE", "UID STORE", Stall(), DELETED),
    Step("in STORE", "UID STORE", Stall(done=True), DELETED),
    Step("between STORE and EXPUNGE", "UID EXPUNGE", Stall()),
    Step("after EXPUNGE", "UID EXPUNGE", Stall(done=True), left=GONE),
    Step("before Seen", "UID STORE", Stall(), r"\Seen", left=GONE),
    Step("after Seen", "UID STORE", Stall(done=True), r"\Seen", left=GONE),
]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeImap]:
    with FakeImap() as fake:
        yield fake


@pytest.fixture(scope="module")
def shared_rig(fake: FakeImap, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(fake, tmp_path_factory.mktemp("rig"), PATIENT) as rig:
        yield rig


@pytest.fixture
def rig(shared_rig: Rig, fake: FakeImap) -> Iterator[Rig]:
    yield shared_rig
    fake.forgive()


def new_truth(fake: FakeImap) -> Truth:
    """UIDs 1 to 4; the last one is marked by somebody else."""
    truth = Truth(new_mailbox(fake))
    truth.deliver([GALLERY["simple"]] * 4)
    truth.flag(4, DELETED)
    return truth


@pytest.fixture
def truth(fake: FakeImap) -> Truth:
    return new_truth(fake)


@contextlib.contextmanager
def ready_to_quit(rig: Rig, truth: Truth) -> Iterator[RawClient]:
    """A client that has retrieved 3 and marked 1 and 2."""
    with rig.client() as client:
        assert client.log_in(truth.mailbox).startswith(b"+OK")
        truth.check_message(3, client.message("RETR 3"))
        truth.retrieved.add(3)
        for number in (1, 2):
            assert client.ask(f"DELE {number}").startswith(b"+OK")
        yield client


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def come_back(rig: Rig, truth: Truth) -> set[int]:
    """One healthy session; what it shows."""
    before = {message.uid for message in truth.check_upstream()}
    session = rig.log_in(truth.mailbox)
    truth.check_shown(session.shown, before)
    assert session.client.ask("QUIT") == b"+OK bye"
    session.client.close()
    truth.check_kept()
    return set(session.shown.uids.values())


@contextlib.contextmanager
def no_journal(rig: Rig) -> Iterator[None]:
    """Nobody else can write it meanwhile."""
    database = sqlite3.connect(rig.state_file, isolation_level=None, check_same_thread=False)
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        database.close()


def hold(fake: FakeImap, truth: Truth, step: Step) -> Rule:
    return fake.on(step.verb, step.fault, has=step.has, user=truth.mailbox.user)


def last_line(client: RawClient) -> bytes:
    """Of a server that was killed."""
    with contextlib.suppress(ConnectionResetError):
        return client.line()
    return b""


@pytest.mark.parametrize("told", [False, True], ids=["unanswered", "answered"])
def test_killed_while_the_upstream_is_changed(rig: Rig, fake: FakeImap, told: bool) -> None:
    truths = {step: new_truth(fake) for step in STEPS}
    rules = [hold(fake, truth, step) for step, truth in truths.items()]
    with contextlib.ExitStack() as connected:
        clients = [connected.enter_context(ready_to_quit(rig, truth)) for truth in truths.values()]
        for client in clients:
            client.send(b"QUIT\r\n")
        until(lambda: all(rule.hits for rule in rules))
        replies = [client.line() for client in clients] if told else []
        rig.kill()
        replies = replies or [last_line(client) for client in clients]
    assert set(replies) == {b"+OK 2 messages deleted" if told else b""}
    fake.forgive()
    rig.start()
    for (step, truth), reply in zip(truths.items(), replies, strict=True):
        truth.quit({1, 2}, reply)
        assert {message.uid for message in truth.check_upstream()} == step.left, step
        assert come_back(rig, truth) == GONE, step  # the journal has it, whatever the client heard
        assert {message.uid for message in truth.check_upstream()} == GONE, step


def test_killed_again_while_the_promise_is_kept(rig: Rig, fake: FakeImap) -> None:
    truths = {step: new_truth(fake) for step in STEPS if step.has != r"\Seen"}
    fake.on("UID STORE", Close())
    for truth in truths.values():
        with ready_to_quit(rig, truth) as client:
            reply = client.ask("QUIT")
            assert reply == b"+OK 2 messages deleted"
            truth.quit({1, 2}, reply)
    fake.forgive()
    rules = [hold(fake, truth, step) for step, truth in truths.items()]
    with contextlib.ExitStack() as connected:
        for truth in truths.values():
            client = connected.enter_context(rig.client())
            client.send(f"USER {truth.mailbox.user}\r\nPASS {truth.mailbox.password}\r\nQUIT\r\n".encode())
        until(lambda: all(rule.hits for rule in rules))
        rig.kill()
    fake.forgive()
    rig.start()
    for step, truth in truths.items():
        assert {message.uid for message in truth.check_upstream()} == step.left, step
        assert come_back(rig, truth) == GONE, step


def test_killed_before_the_journal_has_it(rig: Rig, fake: FakeImap, truth: Truth) -> None:
    with ready_to_quit(rig, truth) as client:
        with no_journal(rig):
            client.send(b"QUIT\r\n")
            time.sleep(GRACE_SECONDS)
            rig.kill()
        assert last_line(client) == b""
    assert "UID STORE" not in fake.connections[-1].verbs
    rig.start()
    assert come_back(rig, truth) == {1, 2, 3, 4}


def test_killed_before_the_journal_knows_that_it_is_done(rig: Rig, fake: FakeImap, truth: Truth) -> None:
    with contextlib.ExitStack() as held, ready_to_quit(rig, truth) as client:
        rule = fake.on("UID EXPUNGE", lambda *_: held.enter_context(no_journal(rig)))
        client.send(b"QUIT\r\n")
        until(lambda: rule.hits)
        time.sleep(GRACE_SECONDS)
        rig.kill()
        assert last_line(client) == b""
    truth.quit({1, 2}, b"")
    fake.forgive()
    assert {message.uid for message in truth.check_upstream()} == GONE
    rig.start()
    assert come_back(rig, truth) == GONE


def test_killed_within_a_session_that_never_quit(rig: Rig, truth: Truth) -> None:
    """And its lock locks nobody out, and the journal is whole."""
    with ready_to_quit(rig, truth):
        rig.kill()
    with contextlib.closing(sqlite3.connect(rig.state_file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rig.start()
    assert come_back(rig, truth) == {1, 2, 3, 4}
