"""Accounts as an operator lists them."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.accounts.made import Terms, expires_at, last_day, new_account, new_password, read_record, usable
from gateway.errors import BadRecord
from gateway.maildrop import OnDelete
from gateway.sasl import Secret

NOW = 1_700_000_000.0


def read(**record: Any) -> Any:
    return read_record({"login": "ann", "secret": "s"} | record, NOW, readable=True)


def test_the_least_that_makes_an_account() -> None:
    made = read()
    assert (made.login, made.user, made.upstream, made.folder, made.on_delete) == ("ann", "ann", "", "", None)
    assert made.secret == Secret("s")
    assert made.passwords == ()
    assert len(made.salt) == 16


def test_all_that_there_is() -> None:
    password = {
        "password": "old",
        "label": "printer",
        "read_only": True,
        "folder": "Scans",
        "networks": ["10.0.0.0/8"],
        "expires": "2027-01-31",
        "on_delete": "trash",
    }
    made = read(user="ann@there", upstream="imaps://h", folder="F", on_delete="keep", passwords=[password])
    assert (made.user, made.upstream, made.folder, made.on_delete) == (
        "ann@there",
        "imaps://h",
        "F",
        OnDelete.KEEP,
    )
    [kept] = made.passwords
    assert (kept.label, kept.read_only, kept.folder, kept.networks) == ("printer", True, "Scans", ("10.0.0.0/8",))
    assert (kept.expires, kept.on_delete) == (expires_at("2027-01-31"), OnDelete.TRASH)
    assert kept.key.secret == Secret("old")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"login": ""}, "needs a login name"),
        ({"secret": 5}, "secret is a text"),
        ({"login": "a\r\nb"}, "control characters"),
        ({"login": "a" * 256}, "more than 255 octets"),
        ({"folders": "F"}, "unknown: folders"),
        ({"on_delete": "shred"}, "one of auto, expunge, trash"),
        ({"passwords": {}}, "a list of objects"),
        ({"passwords": ["old"]}, "a list of objects"),
        ({"passwords": [{"password": "p", "color": "red"}]}, "unknown: color"),
        ({"passwords": [{"password": "p", "networks": "10.0.0.0/8"}]}, "networks is a list"),
        ({"passwords": [{"password": "p", "networks": ["10.0.0.1/8"]}]}, "a network is like"),
        ({"passwords": [{"password": "p", "expires": "soon"}]}, "like 2027-01-31"),
        ({"passwords": [{"password": ""}]}, "a password is empty"),
        ({"passwords": [{"password": "p", "expires": "2020-01-31"}]}, "expired already"),
        ({"passwords": [{"password": "p", "expires": "9999-12-31"}]}, "is no day"),
        ({"passwords": [{"password": "p", "label": "\x9b31m"}]}, "the label has control characters"),
        ({"passwords": [{"password": "p", "folder": "a\r\nb"}]}, "the folder has control characters"),
        ({"user": "\udcff"}, "the user has control characters"),
    ],
)
def test_what_is_wrong_is_told(record: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRecord, match=why):
        read(**record)


@pytest.mark.parametrize(
    ("account", "password"),
    [
        ({"salt": b"s"}, {}),
        ({"created": float("nan")}, {}),
        ({"created": 1e300}, {}),
        ({}, {"expires": float("inf")}),
        ({}, {"used": -1.0}),
        ({}, {"networks": ("10.0.0.1/8",)}),
        ({}, {"hashed": "ä"}),
        ({}, {"name": "kx\n"}),
    ],
)
def test_what_would_stop_a_login_or_a_listing_is_not_taken(
    account: dict[str, Any], password: dict[str, Any]
) -> None:
    """Whoever changes an export can say all this."""
    whole = new_account("ann", Secret("s"), NOW)
    made, _ = new_password(whole, Terms(), NOW, readable=False)
    assert usable(replace(whole, passwords=(made,))).passwords == (made,)
    with pytest.raises(BadRecord):
        usable(replace(whole, passwords=(replace(made, **password),), **account))


def test_passwords_have_names_of_their_own() -> None:
    account = new_account("ann", Secret("s"), NOW)
    made, _ = new_password(account, Terms(), NOW, readable=False)
    with pytest.raises(BadRecord, match="one name"):
        usable(replace(account, passwords=(made, made)))


def test_a_day_is_good_to_its_end() -> None:
    assert expires_at("") == 0.0
    assert expires_at("1970-01-01") == 86_400.0


@pytest.mark.parametrize("day", ["", "2027-01-31", "2028-02-29", "9999-12-30"])
def test_a_day_is_told_as_it_was_given(day: str) -> None:
    assert last_day(expires_at(day)) == day


def test_nothing_prints_the_secret() -> None:
    assert "hunter2" not in repr(new_account("ann", Secret("hunter2"), NOW))
