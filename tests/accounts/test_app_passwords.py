"""App passwords: strong, typeable, and kept so that nobody can read them."""

import secrets
from dataclasses import replace
from typing import Any

import argon2.low_level
import pytest

from gateway.accounts import app_passwords
from gateway.accounts.app_passwords import ALPHABET, Checker, generate, generate_name
from gateway.accounts.made import Terms, new_account, new_password
from gateway.ports import AppPassword, StoredAccount
from gateway.sasl import Secret

NOW = 1_700_000_000.0


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What argon2 was asked to hash."""
    asked: list[bytes] = []
    real = argon2.low_level.hash_secret

    def noting(said: bytes, *arguments: Any) -> bytes:
        asked.append(said)
        return real(said, *arguments)

    monkeypatch.setattr(app_passwords, "hash_secret", noting)
    return asked


def account(*passwords: str) -> StoredAccount:
    made = new_account("ann", Secret("upstream"), NOW)
    for text in passwords:
        password, _ = new_password(made, Terms(), NOW, readable=False, given=Secret(text))
        made = replace(made, passwords=(*made.passwords, password))
    return made


def name_of(found: AppPassword | None) -> str | None:
    return found.name if found else None


def test_it_can_be_typed_on_a_panel_and_not_be_guessed() -> None:
    many = {generate() for _ in range(1000)}
    assert len(many) == 1000
    for password in many:
        assert [len(group) for group in password.split("-")] == [4, 4, 4, 4]
        assert set(password) <= {*ALPHABET, "-"}
    assert not set("0O1lIi") & set(ALPHABET)
    assert len(ALPHABET) ** 16 > 2**79


def test_its_name_is_another_than_those_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = iter("aaaaaabbbbbb")
    monkeypatch.setattr(secrets, "choice", lambda _: next(letters))
    assert generate_name({"aaaaaa"}) == "bbbbbb"


def test_each_password_is_known_again_and_no_other_is() -> None:
    made = account("one", "two")
    checker = Checker()
    for _ in range(2):  # the second time from memory
        assert name_of(checker.find(Secret("one"), made.salt, made.passwords)) == made.passwords[0].name
        assert name_of(checker.find(Secret("two"), made.salt, made.passwords)) == made.passwords[1].name
        assert checker.find(Secret("three"), made.salt, made.passwords) is None
        assert checker.find(Secret(""), made.salt, made.passwords) is None


def test_a_password_is_known_however_its_accents_are_typed() -> None:
    """An operator may import passwords of his own."""
    made = account("cafe\u0301")
    assert name_of(Checker().find(Secret("caf\u00e9"), made.salt, made.passwords)) == made.passwords[0].name


@pytest.mark.parametrize(
    ("typed", "is_it"),
    [
        ("k7mw-3xnp-hq2d-9rzt", True),
        ("k7mw3xnphq2d9rzt", True),
        ("K7MW-3XNP-HQ2D-9RZT", True),
        ("K7MW 3XNP HQ2D 9RZT", True),
        ("k7mw-3xnp-hq2d-9rz", False),
        ("k7mw_3xnp_hq2d_9rzt", False),
    ],
)
def test_one_that_was_made_here_is_known_however_a_panel_has_it(typed: str, is_it: bool) -> None:
    stored = account("k7mw-3xnp-hq2d-9rzt")
    found = Checker().find(Secret(typed), stored.salt, stored.passwords)
    assert (found is not None) is is_it


def test_one_that_somebody_has_chosen_is_known_as_it_is_only() -> None:
    stored = account("Open-Sesame")
    assert Checker().find(Secret("Open-Sesame"), stored.salt, stored.passwords) is not None
    assert Checker().find(Secret("open-sesame"), stored.salt, stored.passwords) is None
    assert Checker().find(Secret("OpenSesame"), stored.salt, stored.passwords) is None


def test_a_wrong_one_costs_one_hash_whatever_there_is_to_compare_it_with(hashed: list[bytes]) -> None:
    several, one = account("a", "b", "c"), account("a")
    hashed.clear()
    for made in (several, one):
        Checker().find(Secret("wrong"), made.salt, made.passwords)
    Checker().find(Secret("wrong"), bytes(16), ())
    assert hashed == [b"wrong"] * 3


def test_a_right_one_is_hashed_once_and_not_at_every_poll(hashed: list[bytes]) -> None:
    made, checker = account("right"), Checker()
    hashed.clear()
    for _ in range(5):
        assert checker.find(Secret("right"), made.salt, made.passwords)
    assert hashed == [b"right"]


def test_what_is_remembered_ends_with_the_password() -> None:
    made, checker = account("right"), Checker()
    assert checker.find(Secret("right"), made.salt, made.passwords)
    assert checker.find(Secret("right"), made.salt, ()) is None
    again = account("other")
    assert checker.find(Secret("right"), again.salt, again.passwords) is None


def test_nothing_that_is_kept_holds_it() -> None:
    password, shown = new_password(account(), Terms("printer"), NOW, readable=False)
    assert shown.reveal() not in repr(password)
    assert shown.reveal() not in password.hashed
    assert password.key.secret is None
    readable, _ = new_password(account(), Terms(), NOW, readable=True, given=shown)
    assert readable.key.secret == shown
    assert shown.reveal() not in repr(readable)


def test_two_accounts_with_one_password_have_different_hashes() -> None:
    assert account("same").passwords[0].hashed != account("same").passwords[0].hashed
