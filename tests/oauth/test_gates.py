"""One at a time for each name."""

import contextlib
import threading

import pytest

from gateway.errors import ProviderError
from gateway.oauth.gates import Gates


def test_who_comes_while_another_is_within_waits_for_so_long() -> None:
    gates = Gates()
    with gates.alone("ann", 0), gates.alone("bob", 0):
        with pytest.raises(ProviderError, match="others have waited"), gates.alone("ann", 0):
            raise AssertionError("two are within")
        assert len(gates) == 2
    assert len(gates) == 0


def test_who_waits_is_let_in_when_the_other_has_left_however_he_left() -> None:
    gates, within = Gates(), threading.Event()
    entered: list[bool] = []

    def wait() -> None:
        within.wait(60)
        with gates.alone("ann", 60):
            entered.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    with contextlib.suppress(ZeroDivisionError), gates.alone("ann", 0):
        within.set()
        raise ZeroDivisionError
    waiting.join()
    assert entered == [True]
    assert len(gates) == 0
