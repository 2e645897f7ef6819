"""Wrong passwords at a gateway: what reaches the mail server, who is locked out, and that all workers know it."""

import base64
import contextlib
import hashlib
import hmac
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway import authorization
from gateway.authorization import Authorization
from gateway.errors import BadCredentials
from gateway.pop3 import Change, Command
from gateway.ports import Account, Peer, Services, Terms, Visit
from gateway.sasl import Claim, Key, Keyring, Needs, Secret
from tests.fakes.door import OpenDoor
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox

HOME, HOTEL, STRANGER = "127.0.0.1", "127.0.0.7", "127.0.0.66"
GUESSES = 3  # are allowed


def guess(gateway: GatewayProcess, mailbox: Mailbox, password: str, source: str = STRANGER) -> dict[str, Any]:
    """The log's line. The answer, which comes late, is not waited for: the count does not need it."""
    with RawClient(gateway.port, source=source) as client:
        client.ask(f"USER {mailbox.user}")
        client.send(f"PASS {password}\r\n".encode())
        return gateway.wait_for("login failed")


def log_in(gateway: GatewayProcess, mailbox: Mailbox, source: str) -> bytes:
    with RawClient(gateway.port, source=source) as client:
        said = client.log_in(mailbox)
        client.ask("QUIT")
        return said


def judged(dovecot: Dovecot, mailbox: Mailbox) -> int:
    """How many wrong passwords of this user Dovecot has seen."""
    return sum(mailbox.user in line and "mismatch" in line for line in dovecot.log.splitlines())


def limited(start_gateway: StartGateway, mailbox: Mailbox, **more: object) -> GatewayProcess:
    return start_gateway(mailbox.server, limits={"guesses": {"per_account": GUESSES}}, **more)


@pytest.mark.pass_through
def test_few_guesses_reach_the_mail_server_and_the_owner_logs_in_where_he_is_known(
    start_gateway: StartGateway, dovecot: Dovecot, mailbox: Mailbox
) -> None:
    gateway = limited(start_gateway, mailbox)
    assert log_in(gateway, mailbox, HOME).startswith(b"+OK")
    codes = [guess(gateway, mailbox, f"guess {number}")["code"] for number in range(10)]
    assert codes == ["AUTH"] * GUESSES + ["SYS/TEMP"] * (10 - GUESSES)
    assert judged(dovecot, mailbox) == GUESSES
    assert log_in(gateway, mailbox, HOTEL).startswith(
        b"-ERR [SYS/TEMP] service unavailable: too many failed logins"
    )
    assert log_in(gateway, mailbox, HOME).startswith(b"+OK")
    [told] = [event for event in gateway.events if event["event"].startswith("account locked out")]
    assert (told["user"], told["address"], told["seconds"]) == (mailbox.user, STRANGER, 900)


@pytest.mark.pass_through
def test_a_device_with_an_old_password_bothers_the_mail_server_once_and_locks_nobody_out(
    start_gateway: StartGateway, dovecot: Dovecot, mailbox: Mailbox
) -> None:
    gateway = limited(start_gateway, mailbox)
    for _ in range(2 * GUESSES):
        assert guess(gateway, mailbox, "old", HOME)["code"] == "AUTH"
    assert judged(dovecot, mailbox) == 1
    assert log_in(gateway, mailbox, HOME).startswith(b"+OK")


def test_all_workers_count_together_and_a_restart_forgets_nothing(
    start_gateway: StartGateway, mailbox: Mailbox, tmp_path: Path
) -> None:
    state = str(tmp_path / "state")
    gateway = limited(start_gateway, mailbox, workers=2, state=state)
    workers: set[int] = set()
    for number in range(30):
        line = guess(gateway, mailbox, f"guess {number}")
        workers.add(line["worker"])
        assert line["code"] == ("AUTH" if number < GUESSES else "SYS/TEMP")
    assert workers == {1, 2}
    assert gateway.stop() == 0
    gateway = limited(start_gateway, mailbox, workers=2, state=state)
    assert log_in(gateway, mailbox, HOTEL).startswith(b"-ERR [SYS/TEMP]")


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "SCRAM-SHA-256", "PLAIN"])
def test_guesses_that_wait_for_one_another_are_not_counted_too_late(
    start_gateway: StartGateway, mailbox: Mailbox, mechanism: str
) -> None:
    """Each has its challenge before the first one answers."""
    accounts = {"pass_through": False, "readable_passwords": True}
    gateway = limited(start_gateway, mailbox, accounts=accounts)
    gateway.account("add", "ann", "--password", "--no-check", said="not tried")
    with contextlib.ExitStack() as connected:
        answers = []
        for number in range(5 * GUESSES):
            client = connected.enter_context(RawClient(gateway.port, source=f"127.0.1.{number}"))
            answers.append((client, wrong_answer(client, mechanism, number)))
        for client, answer in answers:
            client.send(answer)
        told = [gateway.wait_for("login failed")["code"] for _ in answers]
    assert 0 < told.count("AUTH") <= GUESSES
    assert set(told) == {"AUTH", "SYS/TEMP"}


def wrong_answer(client: RawClient, mechanism: str, number: int) -> bytes:
    """To the last challenge."""
    challenge = client.ask(f"AUTH {mechanism}").removeprefix(b"+ ")
    if mechanism == "PLAIN":
        said = f"\0ann\0guess {number}".encode()
    elif mechanism == "CRAM-MD5":
        said = f"ann {hmac.digest(b'guess %d' % number, base64.b64decode(challenge), 'md5').hex()}".encode()
    else:
        first = client.ask(base64.b64encode(f"n,,n=ann,r={number}".encode()).decode())
        nonce = base64.b64decode(first.removeprefix(b"+ ")).partition(b",")[0]
        said = b"c=biws,%b,p=%b" % (nonce, base64.b64encode(bytes(32)))
    return base64.b64encode(said) + b"\r\n"


def test_a_count_that_cannot_be_kept_ends_no_login_and_is_told(
    start_gateway: StartGateway, mailbox: Mailbox, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    gateway = limited(start_gateway, mailbox, state=str(state))
    (state / "guesses").unlink()
    (state / "guesses").mkdir()
    assert guess(gateway, mailbox, "wrong")["code"] == "AUTH"
    told = [event["level"] for event in gateway.events if event["event"] == "failed logins cannot be counted"]
    assert set(told) == {"error"}
    assert log_in(gateway, mailbox, HOME).startswith(b"+OK")


class Refusing:
    """Implements ports.Accounts: takes some seconds to refuse, by the clock that is given."""

    offers = frozenset({Needs.PASSWORD, Needs.SECRET, Needs.SCRAM})

    async def look(self) -> None:
        pass

    async def keyring(self, user: str) -> Keyring:
        self._clock.now += self._seconds
        return Keyring(b"", 1, (Key(user, Secret("right")),))

    def __init__(self, clock: SimpleNamespace, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    async def resolve(self, claim: Claim, peer: Peer) -> Account:
        self._clock.now += self._seconds
        raise BadCredentials


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """That of the event loop, which goes only where somebody sleeps or works."""
    clock = SimpleNamespace(now=1000.0)

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    loop = SimpleNamespace(time=lambda: clock.now)
    monkeypatch.setattr(authorization, "asyncio", SimpleNamespace(sleep=sleep, get_running_loop=lambda: loop))
    return clock


def refusing(clock: SimpleNamespace, seconds: float) -> Authorization:
    delay = SimpleNamespace(seconds=0)
    services = SimpleNamespace(accounts=Refusing(clock, seconds), doorkeeper=OpenDoor(), login_delay=delay)
    terms = Terms("h", tls_available=False, allow_plaintext=True, login_attempts=3, failure_delay=1.0)
    return Authorization(cast("Services", services), terms, Peer("192.0.2.1"), lambda _: None)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.004])
async def test_a_challenge_comes_after_a_time_that_the_look_into_the_vault_does_not_change(
    clock: SimpleNamespace, seconds: float
) -> None:
    """A name that has no account has no keys to be decrypted."""
    state = refusing(clock, seconds)
    reply = await state.auth_command(Command("AUTH", text="SCRAM-SHA-256", initial=b"n,,n=ann,r=abc"))
    assert reply.change is Change.SASL_GOES_ON
    assert round(clock.now, 6) == 1000.005


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.7])
async def test_the_answer_to_a_wrong_password_comes_after_a_time_that_the_work_does_not_change(
    clock: SimpleNamespace, seconds: float
) -> None:
    state = refusing(clock, seconds)
    answered = []
    for _ in range(3):
        clock.now = 1000.0
        state.user_command(Command("USER", text="ann"))
        reply = await state.pass_command(Command("PASS", text="wrong"))
        answered.append((round(clock.now, 6), reply.change))
    assert answered == [(1001.0, Change.LOGIN_FAILED), (1002.0, Change.LOGIN_FAILED), (1004.0, Change.CLOSE)]


class Counting(OpenDoor):
    """Implements ports.Doorkeeper and its visits: how many guesses there were."""

    def __init__(self) -> None:
        self.guesses = 0

    def visit(self, user: str, address: str, secret: Secret | None) -> Visit:
        visit = super().visit(user, address, secret)
        visit.failed = self._failed  # type: ignore[method-assign]
        return visit

    async def _failed(self, error: BadCredentials) -> int:
        self.guesses += 1
        return self.guesses


@pytest.mark.parametrize(("password", "guesses"), [("wrong", 1), ("right", 0)])
async def test_who_has_proved_his_password_has_not_guessed_whatever_refuses_him_then(
    password: str, guesses: int
) -> None:
    """The mail server, for instance, because the stored account's secret there has changed."""
    door = Counting()
    services = SimpleNamespace(accounts=Refusing(SimpleNamespace(now=0.0), 0.0), doorkeeper=door)
    terms = Terms("h", tls_available=False, allow_plaintext=True, login_attempts=3, failure_delay=0.0)
    state = Authorization(cast("Services", services), terms, Peer("192.0.2.1"), lambda _: None)
    stamp = (await state.greeting()).text.rpartition(" ")[2]
    digest = hashlib.md5(f"{stamp}{password}".encode()).hexdigest()
    reply = await state.apop_command(Command("APOP", text=f"ann {digest}"))
    assert reply.change is Change.LOGIN_FAILED
    assert door.guesses == guesses
