"""PLAIN and LOGIN: exchanges that end in credentials or in BadCredentials, and in nothing else."""

import traceback
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadCredentials
from gateway.sasl import MECHANISMS, Claim, Credentials, Occasion, Secret

OCCASION = Occasion("<1896.697170952@pop.example.com>", "3rfcNHYJY1ZVvWVs7j")


def exchange(mechanism: str, responses: Sequence[bytes]) -> tuple[list[object], Claim]:
    """The challenges, and what they led to."""
    begun = MECHANISMS[mechanism].begin(OCCASION)
    challenges: list[object] = [next(begun)]
    for response in responses:
        try:
            challenges.append(begun.send(response))
        except StopIteration as end:
            return challenges, end.value
    raise AssertionError(f"{mechanism} wants more than {len(responses)} responses")


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN"])
def test_a_mechanism_that_shows_the_password_says_so(name: str) -> None:
    assert MECHANISMS[name].name == name
    assert MECHANISMS[name].clear_text


@pytest.mark.parametrize(
    "response",
    [b"\0ann\0secret", b"ann\0ann\0secret"],
)
def test_plain_is_one_response(response: bytes) -> None:
    assert exchange("PLAIN", [response]) == ([b""], Credentials("ann", Secret("secret")))


def test_login_asks_for_the_name_and_then_for_the_password() -> None:
    told = exchange("LOGIN", [b"ann", b"secret"])
    assert told == ([b"Username:", b"Password:"], Credentials("ann", Secret("secret")))


@pytest.mark.parametrize(
    ("name", "password"),
    [("a b", "c d"), (" ann ", " x "), ("ännchen", "pässwörd"), ('"', "\\"), ("a", "\r\n"), ("ann@x", "p" * 9000)],
)
def test_names_and_passwords_are_taken_as_they_are(name: str, password: str) -> None:
    wanted = Credentials(name, Secret(password))
    assert exchange("PLAIN", [f"\0{name}\0{password}".encode()])[1] == wanted
    assert exchange("LOGIN", [name.encode(), password.encode()])[1] == wanted


@pytest.mark.parametrize(
    ("mechanism", "responses", "why"),
    [
        ("PLAIN", [b""], "three fields"),
        ("PLAIN", [b"ann\0secret"], "three fields"),
        ("PLAIN", [b"\0ann\0sec\0ret"], "three fields"),
        ("PLAIN", [b"\0\0secret"], "empty"),
        ("PLAIN", [b"\0ann\0"], "empty"),
        ("PLAIN", [b"\0ann\0\xff"], "UTF-8"),
        ("LOGIN", [b"", b"secret"], "empty"),
        ("LOGIN", [b"ann", b""], "empty"),
        ("LOGIN", [b"\xff"], "UTF-8"),
        ("LOGIN", [b"ann", b"\xff"], "UTF-8"),
        ("LOGIN", [b"a\0b", b"secret"], "NUL"),
        ("LOGIN", [b"ann", b"sec\0ret"], "NUL"),
    ],
)
def test_what_is_no_login_is_bad_credentials_and_says_why(
    mechanism: str, responses: list[bytes], why: str
) -> None:
    with pytest.raises(BadCredentials, match=why) as caught:
        exchange(mechanism, responses)
    assert why in caught.value.reply


@pytest.mark.parametrize(
    ("mechanism", "responses"),
    [
        ("PLAIN", [b"hunter2"]),
        ("PLAIN", [b"\0ann\0hunter2\xff"]),
        ("LOGIN", [b"", b"hunter2"]),
        ("LOGIN", [b"ann", b"hunter2\xff"]),
        ("LOGIN", [b"ann", b"hunter2\0"]),
    ],
)
def test_no_failure_tells_the_password(mechanism: str, responses: list[bytes]) -> None:
    with pytest.raises(BadCredentials) as caught:
        exchange(mechanism, responses)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + caught.value.reply


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_name_and_password_without_nul_gets_through(name: str, password: str) -> None:
    if "\0" not in name + password:
        assert exchange("LOGIN", [name.encode(), password.encode()])[1] == Credentials(name, Secret(password))
        assert exchange("PLAIN", [f"\0{name}\0{password}".encode()])[1] == Credentials(name, Secret(password))
