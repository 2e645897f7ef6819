"""Plays a transcript against the gateway, in one of four ways."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from itertools import groupby

from gateway.errors import GatewayError, UpstreamRefused, UpstreamUnreachable, UpstreamUnusable
from gateway.telemetry.events import Crashed
from tests.conformance.lines import (
    LISTENERS,
    LOGIN_ATTEMPTS,
    LOOPBACK,
    Client,
    Gateway,
    MemoryDoor,
    SocketDoor,
)
from tests.conformance.matching import Incomplete, Mismatch, Pattern, consume
from tests.conformance.memory import Folder, Upstream
from tests.conformance.transcript import (
    CRLF,
    Case,
    Check,
    End,
    Happen,
    Hear,
    Say,
    Step,
    TranscriptError,
    octets_of,
)
from tests.conformance.ways import Way
from tests.servers.tls import Certificates

LARGE = 1_000  # octets; larger messages do not come octet by octet from the upstream
BLOCK = 7  # octets, but in blocks of so many, which end anywhere in a line's end
COMMIT_SECONDS = 0.02  # of an upstream that takes its time
LOGIN_SECONDS = 0.2  # likewise, and much longer than a
MOMENT = 0.02  # seconds, of the network
AT_ONCE = 0.01  # seconds in which a socket shows an end that nobody expects
SOON = 5.0  # seconds in which one shows an end that the transcript promises
TERMINATION = b"\r\n.\r\n"
TLS_HANDSHAKE = "the TLS handshake"


class Deviation(AssertionError):
    """The gateway does not do what the transcript says."""


async def play(case: Case, way: Way, certificates: Certificates) -> dict[int, bytes]:
    """What the server said, to each client."""
    player = _Player(case, way, certificates)
    try:
        await player.run()
    finally:
        await player.close()
    player.check_crashes()
    return player.heard


class _Player:
    def __init__(self, case: Case, way: Way, certificates: Certificates) -> None:
        self.heard: dict[int, bytes] = {}
        self.upstream, self.ann = _upstream(case)
        if way.octet_by_octet:
            largest = max((len(message.octets) for message in self.ann.messages), default=0)
            self.upstream.block_octets = 1 if largest <= LARGE else BLOCK
        self._case = case
        self._way = way
        self._clients: dict[int, Client] = {}
        self._gateway = _gateway(case, self.upstream)
        on_sockets = self._gateway.offer.implicit_tls or any(
            isinstance(step, Happen) and step.what.startswith(TLS_HANDSHAKE) for step in case.steps
        )
        self._door = SocketDoor(self._gateway, certificates) if on_sockets else MemoryDoor(self._gateway)

    async def run(self) -> None:
        for _, group in groupby(self._case.steps, _turn):
            steps = list(group)
            if isinstance(steps[0], Happen | Check):
                for step in steps:
                    await self._do(step)
            else:
                await self._talk(steps)
        for number, client in self._clients.items():
            if rest := await client.hear(lambda _: True):
                raise self._deviation(self._case.steps[-1].line, f"after this the server says {rest[:200]!r}")
            if how := await client.ended(AT_ONCE):
                raise self._deviation(self._case.line, f"at the end the server {how} to client {number}")

    async def close(self) -> None:
        for client in self._clients.values():
            await client.vanish()
        await self._door.close()

    def check_crashes(self) -> None:
        for event in self._gateway.events:
            if isinstance(event, Crashed):
                raise self._deviation(self._case.line, f"internal error: {event.error}\n{event.traceback}")

    # what is said

    async def _talk(self, steps: list[Step]) -> None:
        """Steps of one client."""
        for exchange in self._way.exchanges(steps):
            says = [step for step in exchange if isinstance(step, Say)]
            answers = [step for step in exchange if isinstance(step, Hear | End)]
            client = await self._client((says or answers)[0].client)
            await self._say(client, says)
            if answers:
                await self._hear(client, answers)

    async def _client(self, number: int) -> Client:
        if number not in self._clients:
            self._clients[number] = await self._door.connect()
        return self._clients[number]

    async def _say(self, client: Client, says: list[Say]) -> None:
        for piece in self._way.pieces(says):
            await client.say(piece)

    async def _hear(self, client: Client, answers: list[Hear | End]) -> None:
        hears = [step for step in answers if isinstance(step, Hear)]
        patterns = [hear.pattern for hear in hears]
        said = await client.hear(lambda said: _is_enough(patterns, said))
        try:
            rest = consume(patterns, said)
        except Mismatch as mismatch:
            raise self._deviation(hears[mismatch.index].line, str(mismatch)) from None
        except Incomplete as incomplete:
            hear = hears[incomplete.index]
            raise self._deviation(hear.line, f"expected {hear.pattern.text!r}, the server says no more") from None
        end = answers[-1]
        if rest and not (isinstance(end, End) and end.within_message and TERMINATION not in CRLF + rest):
            raise self._deviation(end.line, f"after this the server says {rest[:200]!r}")
        self.heard[end.client] = self.heard.get(end.client, b"") + said.removesuffix(rest)
        if isinstance(end, End):
            await self._expect_end(client, end)

    async def _expect_end(self, client: Client, end: End) -> None:
        how = await client.ended(SOON)
        if how != "closes" and not (end.within_message and how == "aborts"):
            raise self._deviation(end.line, f"the server {how or 'keeps the connection open'}")
        await self._drop(end.client)

    async def _drop(self, number: int) -> None:
        await self._clients.pop(number).vanish()

    def _deviation(self, line: int, why: str) -> Deviation:
        return Deviation(f"{self._case.path.name}:{line}, {self._way.name}: {why}")

    # what happens

    async def _do(self, step: Step) -> None:
        assert isinstance(step, Happen | Check)
        table = _EVENTS if isinstance(step, Happen) else _CHECKS
        for form, act in table:
            if match := form.fullmatch(step.what):
                wrong = await act(self, *match.groups())
                if wrong:
                    raise self._deviation(step.line, wrong)
                return
        raise TranscriptError(f"{self._case.path.name}:{step.line}: what is {step.what!r}?")

    async def _handshake(self) -> str:
        await self._clients[1].start_tls()
        return ""

    async def _nonsense(self) -> str:
        await self._clients[1].say(b"CAPA\r\n")
        return ""

    async def _lose(self, number: str | None) -> str:
        await self._drop(int(number or 1))
        return ""

    async def _stop_sending(self) -> str:
        await self._clients[1].stop_sending()
        return ""

    async def _silence(self, seconds: str) -> str:
        await self._clients[1].be_silent(float(seconds))
        return ""

    async def _set_fault(self, what: str) -> str:
        self.upstream.fault = _FAULTS[what]
        return ""

    async def _set_list_fault(self, what: str) -> str:
        self.upstream.list_fault = None if what == "can" else UpstreamRefused()
        return ""

    async def _slow_down(self, when: str) -> str:
        if when == "QUIT":
            self.upstream.commit_seconds = COMMIT_SECONDS
        else:
            self.upstream.login_seconds = LOGIN_SECONDS
        return ""

    async def _wait(self) -> str:
        await asyncio.sleep(MOMENT)
        return ""

    async def _set_commit_fault(self) -> str:
        self.upstream.commit_fault = UpstreamUnreachable()
        return ""

    async def _add(self, name: str) -> str:
        self.ann.add(name, self._case.messages[name])
        return ""

    async def _remove(self, name: str) -> str:
        self.ann.remove(self.ann.named(name))
        return ""

    async def _break_message(self, name: str, octets: str) -> str:
        self.ann.named(name).breaks_after = int(octets)
        return ""

    async def _renumber(self, uidvalidity: str) -> str:
        self.ann.uidvalidity = int(uidvalidity)
        return ""

    async def _close_to_changes(self) -> str:
        self.ann.read_only = True
        return ""

    # what must be true

    async def _holds(self, names: str) -> str:
        return _compare([message.name for message in self.ann.messages], names)

    async def _seen(self, names: str) -> str:
        return _compare([message.name for message in self.ann.messages if message.seen], names)


_Act = Callable[..., Awaitable[str]]

_FAULTS: dict[str, GatewayError | None] = {
    "is well": None,
    "cannot be reached": UpstreamUnreachable(),
    "refuses for now": UpstreamRefused(),
    "is set up wrongly": UpstreamUnusable(),
    "fails with a text of 1000 octets and a line end": UpstreamRefused(text="bad\r\nnews " + "!" * 990),
}

_EVENTS: tuple[tuple[re.Pattern[str], _Act], ...] = (
    (re.compile(TLS_HANDSHAKE), _Player._handshake),
    (re.compile(TLS_HANDSHAKE + " does not come, but CAPA in clear"), _Player._nonsense),
    (
        re.compile(rf"(?:{TLS_HANDSHAKE} does not come, )?the connection(?: of client ([2-9]))? is lost"),
        _Player._lose,
    ),
    (re.compile(r"the client stops sending"), _Player._stop_sending),
    (re.compile(r"the network takes a moment"), _Player._wait),
    (re.compile(r"the client is silent for (\d+) s"), _Player._silence),
    (re.compile(rf"the upstream ({'|'.join(_FAULTS)})"), _Player._set_fault),
    (re.compile(r"the upstream (can|cannot) list the mailbox"), _Player._set_list_fault),
    (re.compile(r"the upstream will take its time at (QUIT|the login)"), _Player._slow_down),
    (re.compile(r"the upstream will fail at QUIT, after one message is removed"), _Player._set_commit_fault),
    (re.compile(r"new mail: (\S+)"), _Player._add),
    (re.compile(r"another program removes (\S+)"), _Player._remove),
    (re.compile(r"the upstream will break off (\S+) after (\d+) octets"), _Player._break_message),
    (re.compile(r"the mailbox gets UIDVALIDITY (\d+)"), _Player._renumber),
    (re.compile(r"the mailbox becomes read-only"), _Player._close_to_changes),
)

_CHECKS: tuple[tuple[re.Pattern[str], _Act], ...] = (
    (re.compile(r"the mailbox holds (.+)"), _Player._holds),
    (re.compile(r"seen are (.+)"), _Player._seen),
)


def _compare(found: list[str], names: str) -> str:
    expected = [] if names == "nothing" else names.split()
    return "" if found == expected else f"it is {' '.join(found) or 'nothing'}"


def _upstream(case: Case) -> tuple[Upstream, Folder]:
    """The mail server that the case gives, and the mailbox it is about."""
    givens = case.givens
    ann = Folder(octets_of(givens.get("password", "secret")).decode(), int(givens.get("uidvalidity", "1")))
    uids: list[str | None] = [*givens.get("uids", "").split()]
    names = givens.get("mail", "").split()
    for name, uid in zip(names, uids or [None] * len(names), strict=True):
        ann.add(name, case.messages[name], None if uid is None else int(uid))
    upstream = Upstream({octets_of(givens.get("name", "ann")).decode(): ann})
    if other := givens.get("another account"):
        name, password = other.split()
        upstream.folders[name] = Folder(password)
    return upstream, ann


def _gateway(case: Case, upstream: Upstream) -> Gateway:
    givens = case.givens
    return Gateway(
        upstream.services(float(givens.get("login delay", "0"))),
        LISTENERS[givens.get("listener", "pop3")],
        givens.get("address", LOOPBACK),
        int(givens.get("login attempts", LOGIN_ATTEMPTS)),
    )


def _turn(step: Step) -> int:
    """Whose turn it is: 0 is nobody's on the line."""
    return 0 if isinstance(step, Happen | Check) else step.client


def _is_enough(patterns: list[Pattern], said: bytes) -> bool:
    """Nothing that could still come would change the verdict."""
    try:
        consume(patterns, said)
    except Incomplete:
        return False
    except Mismatch:
        pass
    return True
