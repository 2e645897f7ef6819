"""A secret does not print, whatever it is put into."""

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sasl import Credentials, Secret

HUNTER = Secret("hunter2")


@dataclass
class Holder:
    name: str
    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        ascii,
        lambda secret: f"{secret} {secret!r} {secret!s} {secret!a}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - some loggers still do
        "{0} {0!r}".format,
        lambda secret: str([secret, {"password": secret}, (secret,)]),
        lambda secret: repr(Holder("ann", secret)),
        lambda secret: repr(Credentials("ann", secret)),
        lambda secret: f"{Credentials('ann', secret)}",
        lambda secret: str(ValueError(secret, Credentials("ann", secret))),
    ],
)
def test_no_way_of_printing_shows_it(show: Callable[[Secret], str]) -> None:
    assert "hunter2" not in show(HUNTER)


@pytest.mark.parametrize(
    "take",
    [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars, asdict, lambda secret: pickle.dumps(secret, 0)],
)
def test_no_way_of_copying_it_out_works(take: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError):
        take(HUNTER)


def test_credentials_are_not_pickled_either() -> None:
    with pytest.raises(TypeError, match="a secret is not pickled"):
        pickle.dumps(Credentials("ann", HUNTER))


@pytest.mark.parametrize("misuse", [hash, int, lambda secret: secret + "x", lambda secret: secret.encode(), len])
def test_the_traceback_of_a_misuse_does_not_show_it(misuse: Callable[[Secret], object]) -> None:
    try:
        misuse(HUNTER)
    except (TypeError, AttributeError) as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()
        assert "hunter2" not in "".join(shown)
    else:
        pytest.fail("a secret is not a string")


def test_it_is_revealed_to_who_asks_for_it() -> None:
    assert HUNTER.reveal() == "hunter2"


@given(st.text(), st.text())
def test_secrets_are_equal_when_their_values_are(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) is (one == other)
    assert Secret(one) == Secret(one)


def test_a_secret_equals_nothing_but_a_secret() -> None:
    others: list[object] = ["hunter2", b"hunter2", None, ("hunter2",)]
    assert not [other for other in others if other == HUNTER]


def test_a_secret_is_no_key_of_a_dict() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        {HUNTER: 1}  # noqa: B018
