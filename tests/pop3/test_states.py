"""The state table."""

import pytest

from gateway.pop3 import Change, State
from gateway.pop3.states import NEXT_STATE, next_state


@pytest.mark.parametrize("state", State)
def test_a_reply_without_a_change_changes_nothing(state: State) -> None:
    assert next_state(state, Change.NONE) is state


def test_nothing_leads_out_of_closed() -> None:
    assert not any(before is State.CLOSED for before, _ in NEXT_STATE)


def test_only_a_login_leads_to_the_maildrop() -> None:
    ways = {
        (before, change)
        for (before, change), after in NEXT_STATE.items()
        if after is State.TRANSACTION and before is not State.TRANSACTION
    }
    assert ways == {
        (State.AUTHORIZATION, Change.MAILDROP_OPEN),
        (State.AUTHENTICATING, Change.MAILDROP_OPEN),
    }


@pytest.mark.parametrize(
    ("state", "change"),
    [
        (state, change)
        for state in State
        for change in Change
        if change is not Change.NONE and (state, change) not in NEXT_STATE
    ],
)
def test_a_change_that_is_not_in_the_table_is_a_bug_of_the_caller(state: State, change: Change) -> None:
    with pytest.raises(ValueError, match="cannot happen"):
        next_state(state, change)
