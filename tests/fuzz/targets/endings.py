"""How work with an upstream may end: in a result, or in one error of ours that a log line can hold."""

from collections.abc import Callable
from typing import TypeVar

from gateway.errors import GatewayError
from gateway.imap.faults import translated
from tests.fuzz.bugs import demand

DETAIL_CHARACTERS = 1000  # a server's own words are cut at 200

_T = TypeVar("_T")


def ending(work: Callable[[], _T]) -> _T | GatewayError:
    """Anything else that is raised is a bug, and goes through."""
    try:
        with translated("fuzzing"):
            return work()
    except GatewayError as error:
        return judged(error)


def judged(error: GatewayError) -> GatewayError:
    demand(str(error).isprintable(), f"a log line would hold {str(error)!r}")
    demand(len(str(error)) <= DETAIL_CHARACTERS, f"a log line of {len(str(error))} characters")
    return error
