"""Many who want a token of one account at once: one asks, and all have what came of it."""

import contextlib
from dataclasses import replace

import pytest

from gateway.errors import ProviderError, RegistrationRefused, SignInNeeded
from gateway.oauth.keeper import (
    FAULT_SECONDS,
    TROUBLE_SECONDS,
    lock_key,
)
from gateway.oauth.lines import MOST, Lines
from gateway.store.locks import FileLock
from tests.oauth.keeping import (
    ACCOUNT,
    GRANTED,
    HOUR,
    Clock,
    CountingRenewer,
    Desk,
    together,
)

DOWN = ProviderError("the provider does not answer")
REVOKED = SignInNeeded("invalid_grant: the owner has taken it back")


@pytest.mark.parametrize("error", [None, REVOKED, DOWN], ids=repr)
def test_of_twenty_one_asks_and_all_have_what_came_of_it(
    desk: Desk, provider: CountingRenewer, clock: Clock, error: Exception | None
) -> None:
    provider.error = error
    clock.pass_by(HOUR)
    gave = together(20, lambda _: desk.token())
    assert len(provider.asked) == 1
    assert {type(one) for one in gave} == {type(error) if error else str}


@pytest.mark.parametrize("error", [REVOKED, DOWN], ids=repr)
def test_who_waited_longer_than_a_failure_counts_has_it_all_the_same(
    desk: Desk, provider: CountingRenewer, clock: Clock, error: Exception
) -> None:
    """A provider may take its time to fail: the next would wait as long, and the one behind him."""
    provider.error = error
    clock.pass_by(HOUR)
    seen = desk.grant()
    with pytest.raises(type(error)):
        desk.token()
    clock.pass_by(2 * TROUBLE_SECONDS)
    with pytest.raises(type(error)):
        desk.keeper._wait_for_another(GRANTED, seen, None)
    assert len(provider.asked) == 1


def test_of_one_process_one_at_a_time_waits_for_the_others(
    desk: Desk, provider: CountingRenewer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look whether they are done is a write in the state, each time."""
    waiting, peak = [0], [0]
    acquire = FileLock.acquire

    def counted(lock: FileLock) -> None:
        waiting[0] += 1
        peak[0] = max(waiting)
        acquire(lock)
        waiting[0] -= 1

    monkeypatch.setattr(FileLock, "acquire", counted)
    clock.pass_by(HOUR)
    assert set(together(20, lambda _: desk.token())) == {"access 1"}
    assert peak == [1]


def test_a_provider_that_hangs_holds_up_one_thread_and_not_one_for_each_account(
    desk: Desk, provider: CountingRenewer, clock: Clock
) -> None:
    bob = replace(GRANTED, login="bob")
    desk.vault.inner.add(replace(ACCOUNT, login="bob"))
    provider.error = DOWN
    clock.pass_by(HOUR)
    with pytest.raises(ProviderError):
        desk.token()
    clock.pass_by(FAULT_SECONDS)
    told: list[str] = []

    def ask_for_bob() -> None:
        with pytest.raises(ProviderError) as error:
            desk.token(granted=bob)
        told.append(str(error.value))

    provider.before = ask_for_bob
    with pytest.raises(ProviderError):
        desk.token()
    assert len(provider.asked) == 2
    assert "who asks it again now: the provider does not answer" in told[0]
    provider.error, provider.before = None, lambda: None
    assert desk.token(granted=bob) == "access 3"


@pytest.mark.parametrize("error", [None, REVOKED, RegistrationRefused("no such application")], ids=repr)
def test_whatever_it_answers_others_may_ask_it_meanwhile(
    desk: Desk, provider: CountingRenewer, clock: Clock, error: Exception | None
) -> None:
    bob = replace(GRANTED, login="bob")
    desk.vault.inner.add(replace(ACCOUNT, login="bob"))
    clock.pass_by(HOUR)
    for provider.error in (DOWN, error):
        with contextlib.suppress(SignInNeeded, ProviderError):
            desk.token()
        clock.pass_by(FAULT_SECONDS)
    provider.error = None
    desk.change(access=None, trouble="", fault="")

    def ask_for_bob() -> None:
        provider.before = lambda: None
        assert desk.token(granted=bob) == "access 4"

    provider.before = ask_for_bob
    desk.token()
    assert len(provider.asked) == 4


def test_no_more_than_so_many_ask_at_once() -> None:
    lines = Lines()
    with contextlib.ExitStack() as asking:
        for _ in range(MOST):
            asking.enter_context(lines.to("one"))
        with pytest.raises(ProviderError, match="others wait for one"):
            asking.enter_context(lines.to("one"))
        asking.enter_context(lines.to("another"))
    with lines.to("one"):
        pass


def test_nobody_waits_for_ever(
    desk: Desk, provider: CountingRenewer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.pass_by(HOUR)
    desk.keeper._locks._patience = 0.0  # type: ignore[attr-defined]
    held = desk.keeper._locks.lock(lock_key("ANN"))
    held.acquire()
    with pytest.raises(ProviderError, match="another process has waited"):
        desk.token()
    held.release()
    assert desk.token() == "access 1"
    assert len(desk.keeper._gates) == 0
