"""Names and passwords as they are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sasl import one_spelling, prepared


@pytest.mark.parametrize(
    ("text", "as_prepared"),
    [
        ("I\u00adX", "IX"),  # these three are examples of RFC 4013 section 3
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("cafe\u0301", "caf\u00e9"),
        ("user", "user"),
        ("USER", "USER"),
    ],
)
def test_what_clients_of_scram_do_to_a_text(text: str, as_prepared: str) -> None:
    assert prepared(text) == as_prepared


@pytest.mark.parametrize(
    "spellings",
    [
        ["ann", "Ann", "\uff21\uff2e\uff2e", "a\u00adnn"],
        ["Stra\u00dfe", "STRASSE", "stra\u1e9ee"],
        ["jos\u00e9", "jose\u0301", "JOS\u00c9"],
        ["\u0391\u03a3", "\u03b1\u03c2", "\u03b1\u03c3"],
    ],
)
def test_spellings_of_one_name(spellings: list[str]) -> None:
    assert len(set(map(one_spelling, spellings))) == 1


@pytest.mark.parametrize(("name", "other"), [("ann", "anna"), ("ann", "\u0430nn"), ("a b", "ab"), ("i", "\u0131")])
def test_two_names(name: str, other: str) -> None:
    assert one_spelling(name) != one_spelling(other)


@given(st.text(st.characters(codec="utf-8")))
def test_what_has_been_done_once_needs_no_second_time(text: str) -> None:
    assert prepared(prepared(text)) == prepared(text)
    assert one_spelling(one_spelling(text)) == one_spelling(text)
