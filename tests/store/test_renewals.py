"""In every state: whoever shares it has a token renewed once, however many need it at the same moment."""

import threading
from dataclasses import replace

import pytest

from gateway.errors import ProviderError, SignInNeeded
from gateway.store import Keys
from tests.oauth.keeping import ACCOUNT, GRANTED, HOUR, KEY, Clock, CountingRenewer, Desk, together
from tests.store.conftest import OpenState

PROCESSES, SESSIONS = 3, 18


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> CountingRenewer:
    return CountingRenewer(clock)


@pytest.fixture
def desks(start_state: OpenState, provider: CountingRenewer, clock: Clock) -> list[Desk]:
    start_state().vault(lambda _: Keys([KEY], "the test")).add(ACCOUNT)
    return [Desk(start_state(), provider, clock) for _ in range(PROCESSES)]


@pytest.mark.parametrize("error", [None, SignInNeeded("revoked"), ProviderError("down")], ids=repr)
def test_one_asks_and_all_have_what_came_of_it(
    desks: list[Desk], provider: CountingRenewer, clock: Clock, error: Exception | None
) -> None:
    provider.error = error
    clock.pass_by(HOUR)
    gave = together(SESSIONS, lambda number: desks[number % PROCESSES].token())
    assert len(provider.asked) == 1
    assert set(map(repr, gave)) == {repr(error) if error else "'access 1'"}


def test_of_those_whose_token_was_turned_down_one_asks(desks: list[Desk], provider: CountingRenewer) -> None:
    gave = together(SESSIONS, lambda number: desks[number % PROCESSES].token(refused="access 0"))
    assert set(gave) == {"access 1"}
    assert len(provider.asked) == 1


def test_another_account_does_not_wait(desks: list[Desk], provider: CountingRenewer, clock: Clock) -> None:
    desks[0].vault.inner.add(replace(ACCOUNT, login="bob"))
    asked, answer = threading.Event(), threading.Event()

    def let_only_the_first_wait() -> None:
        if len(provider.asked) == 1:
            asked.set()
            answer.wait(60)

    provider.before = let_only_the_first_wait
    clock.pass_by(HOUR)
    waiting = threading.Thread(target=desks[0].token)
    waiting.start()
    asked.wait(60)
    assert desks[1].token(granted=replace(GRANTED, login="bob")) == "access 2"
    assert waiting.is_alive()
    answer.set()
    waiting.join()
    assert desks[1].token() == "access 1"
