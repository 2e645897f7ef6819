"""The states of RFC 1939 section 3, and the one table that says what moves a session between them."""

from enum import Enum


class State(Enum):
    AUTHORIZATION = "AUTHORIZATION"
    AUTHENTICATING = "AUTHENTICATING"  # within a SASL exchange: lines are responses, not commands (RFC 5034)
    TRANSACTION = "TRANSACTION"
    UPDATE = "UPDATE"
    CLOSED = "CLOSED"


class Change(Enum):
    """What a reply does to the state when it is sent."""

    NONE = "none"
    SASL_GOES_ON = "SASL goes on"
    LOGIN_FAILED = "login failed"
    TLS_STARTS = "TLS starts"
    MAILDROP_OPEN = "maildrop open"
    CLOSE = "close"


NEXT_STATE: dict[tuple[State, Change], State] = {
    (State.AUTHORIZATION, Change.SASL_GOES_ON): State.AUTHENTICATING,
    (State.AUTHORIZATION, Change.LOGIN_FAILED): State.AUTHORIZATION,
    (State.AUTHORIZATION, Change.TLS_STARTS): State.AUTHORIZATION,
    (State.AUTHORIZATION, Change.MAILDROP_OPEN): State.TRANSACTION,
    (State.AUTHORIZATION, Change.CLOSE): State.CLOSED,
    (State.AUTHENTICATING, Change.SASL_GOES_ON): State.AUTHENTICATING,
    (State.AUTHENTICATING, Change.LOGIN_FAILED): State.AUTHORIZATION,
    (State.AUTHENTICATING, Change.MAILDROP_OPEN): State.TRANSACTION,
    (State.AUTHENTICATING, Change.CLOSE): State.CLOSED,
    (State.TRANSACTION, Change.CLOSE): State.CLOSED,
    (State.UPDATE, Change.CLOSE): State.CLOSED,
}


def next_state(state: State, change: Change) -> State:
    """Where `change` leads; a pair that is not in the table is a bug in the caller."""
    if change is Change.NONE:
        return state
    try:
        return NEXT_STATE[state, change]
    except KeyError:
        raise ValueError(f"{change.value!r} cannot happen in the {state.value} state") from None
