"""A provider that counts what it is asked, and a vault that can be told not to take anything."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.errors import StateError
from gateway.oauth.keeper import PATIENCE_SECONDS, TokenKeeper
from gateway.ports import Grant, Granted, LockMode, Renewal, StoredAccount, Tokens
from gateway.sasl import Secret
from gateway.store import Keys, State, StoredVault, open_state
from gateway.telemetry.events import Event

KEY = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
START = 1_700_000_000.0
HOUR = 3600.0
GRANT = Grant(
    "provider",
    Renewal.REFRESH,
    since=START,
    refresh=Secret("refresh 0"),
    access=Secret("access 0"),
    expires=START + HOUR,
)
GRANTED = Granted("ann@example.org", "Ann", "XOAUTH2", START)
ACCOUNT = StoredAccount("Ann", "", "ann@example.org", Secret("her password"), b"s" * 16, START, grant=GRANT)


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class CountingRenewer:
    """Implements ports.Renewer. The first token that it gives is `access 1`, and so on."""

    clock: Callable[[], float]
    lifetime: float = HOUR
    rotates: bool = True
    error: Exception | None = None
    asked: list[tuple[Grant, str, Secret]] = field(default_factory=list)
    before: Callable[[], object] = lambda: None  # what happens while it is asked

    def renew(self, grant: Grant, user: str, secret: Secret) -> Tokens:
        self.asked.append((grant, user, secret))
        number = len(self.asked)
        self.before()
        if self.error is not None:
            raise self.error
        refresh = Secret(f"refresh {number}") if self.rotates else None
        expires = self.clock() + self.lifetime if self.lifetime else 0.0
        return Tokens(Secret(f"access {number}"), expires, refresh)


class Desk:
    """A keeper over a state, as one process has it."""

    def __init__(self, state: State, renewer: CountingRenewer, clock: Callable[[], float]) -> None:
        self.vault = FailingVault(state.vault(lambda _: Keys([KEY], "the test")))
        self.events: list[Event] = []
        locks = state.locks(LockMode.EXCLUSIVE, PATIENCE_SECONDS)
        self.keeper = TokenKeeper(self.vault, locks, renewer, self.events.append, clock)  # type: ignore[arg-type]

    def token(self, refused: str | None = None, granted: Granted = GRANTED) -> str:
        return self.keeper.bearer(granted, Secret(refused) if refused else None).secret.reveal()

    def grant(self) -> Grant:
        found = self.vault.grant("ann")
        assert found is not None
        return found

    def change(self, **values: object) -> None:
        """The grant, as if that had come of it."""
        assert self.vault.inner.revise_grant("ann", replace(self.grant(), **values))  # type: ignore[arg-type]

    def told(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


class FailingVault:
    """A vault whose disk may be full: from now on, or behind so many revisions that are taken."""

    def __init__(self, inner: StoredVault) -> None:
        self.inner = inner
        self.takes: float = float("inf")

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def grant(self, login: str) -> Grant | None:
        return self.inner.grant(login)

    def revise_grant(self, login: str, grant: Grant) -> bool:
        if self.takes <= 0:
            raise StateError("the disk is full")
        self.takes -= 1
        return self.inner.revise_grant(login, grant)


def opened(folder: Path) -> State:
    state = open_state(folder)
    state.vault(lambda _: Keys([KEY], "the test")).add(ACCOUNT)
    return state


def together(count: int, do: Callable[[int], object]) -> list[object]:
    """What each gives, or raises, when so many do it at once."""
    begin, gave = threading.Barrier(count), [None] * count

    def one(number: int) -> None:
        begin.wait()
        try:
            gave[number] = do(number)  # type: ignore[call-overload]
        except Exception as error:
            gave[number] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(gave)
