"""A vault's keys, which rotate, are lost and come back; and what leaves it encrypted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from gateway.errors import AccountExists, BadRecord, StateError
from gateway.sasl import Secret
from gateway.store import StoredVault
from gateway.store import vault as vaults
from gateway.store.keys import add_key
from tests.store.conftest import OpenState
from tests.store.vaults import ACCOUNT, GRANT, PASSWORD, PLAIN, SECRETS, open_vault


def test_keys_rotate(vault: StoredVault, start_state: OpenState, key_file: Path) -> None:
    vault.add(ACCOUNT)
    add_key(key_file)
    assert sum(open_vault(start_state(), key_file).rotate()) == 3
    newest, _ = key_file.read_text().split()
    key_file.write_text(newest)
    assert open_vault(start_state(), key_file).find(ACCOUNT.login) == ACCOUNT


def test_a_rotation_lets_others_write_meanwhile(
    vault: StoredVault, start_state: OpenState, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vaults, "PAGE_ROWS", 3)
    for number in range(7):
        vault.add(replace(ACCOUNT, login=f"user{number}"))
    add_key(key_file)
    rotating, other = (open_vault(start_state(), key_file) for _ in range(2))
    parts = []
    for count in rotating.rotate():
        parts.append(count)
        other.set_secret("user6", Secret(f"new {len(parts)}"))
    assert parts == [9, 9, 3]
    key_file.write_text(key_file.read_text().split()[0])
    kept = list(open_vault(start_state(), key_file).all())
    assert kept[:6] == [replace(ACCOUNT, login=f"user{number}") for number in range(6)]
    assert kept[6].secret == Secret("new 3")


def test_what_stands_in_for_an_account_is_the_same_everywhere(
    vault: StoredVault, start_state: OpenState, key_file: Path
) -> None:
    """Or who asks two workers would know whether there is one."""
    assert vault.stand_in("nobody") == vault.stand_in("Nobody") != vault.stand_in("another")
    assert not key_file.exists()
    vault.add(ACCOUNT)
    before = vault.stand_in("nobody")
    add_key(key_file)
    for reader in (vault, open_vault(start_state(), key_file)):
        assert reader.stand_in("nobody") == reader.stand_in("Nobody") == before
    assert before != vault.stand_in("another")


def test_another_key_is_told_and_never_the_secret(
    vault: StoredVault, start_state: OpenState, key_file: Path
) -> None:
    vault.add(ACCOUNT)
    key_file.write_bytes(Fernet.generate_key())
    with pytest.raises(StateError, match=r"another key than those of .*vault\.keys") as told:
        open_vault(start_state(), key_file).find(ACCOUNT.login)
    assert "own" not in str(told.value).replace("vault", "")


def test_keys_are_not_made_anew_where_there_are_secrets_already(
    vault: StoredVault, start_state: OpenState, tmp_path: Path
) -> None:
    """On a second machine they would encrypt what the first one cannot read."""
    vault.add(ACCOUNT)
    elsewhere = tmp_path / "elsewhere.keys"
    second = open_vault(start_state(), elsewhere)
    uses: list[Callable[[], object]] = [
        lambda: second.find(ACCOUNT.login),
        lambda: second.add(PLAIN),
        lambda: list(second.rotate()),
    ]
    for use in uses:
        with pytest.raises(StateError, match=r"bring .*elsewhere\.keys back"):
            use()
    assert not elsewhere.exists()
    assert list(vault.all()) == [ACCOUNT]


def test_a_gateway_that_runs_meanwhile_reads_the_keys_anew(
    vault: StoredVault, start_state: OpenState, key_file: Path
) -> None:
    vault.add(ACCOUNT)
    assert vault.find(ACCOUNT.login) == ACCOUNT
    add_key(key_file)
    assert list(open_vault(start_state(), key_file).rotate())
    assert vault.find(ACCOUNT.login) == ACCOUNT


def test_and_writes_with_the_new_one(vault: StoredVault, start_state: OpenState, key_file: Path) -> None:
    """Or it could not be read any more, once the old one is taken out of the file."""
    vault.add(ACCOUNT)
    vault.add(replace(PLAIN, grant=GRANT))
    add_key(key_file)
    list(open_vault(start_state(), key_file).rotate())
    later = replace(PASSWORD, name="later")
    vault.set_grant(ACCOUNT.login, replace(GRANT, since=2.0))
    vault.set_secret(ACCOUNT.login, Secret("new"))
    vault.add_password("bob", later)
    vault.add(replace(ACCOUNT, login="carl"))
    assert vault.revise_grant("bob", replace(GRANT, access=Secret("next")))
    newest, _ = key_file.read_text().split()
    key_file.write_text(newest)
    assert sorted(account.login for account in open_vault(start_state(), key_file).all()) == sorted(
        ["bob", "carl", ACCOUNT.login]
    )


def test_without_its_key_nothing_is_lost(vault: StoredVault, start_state: OpenState, key_file: Path) -> None:
    vault.add(ACCOUNT)
    key = key_file.read_bytes()
    key_file.write_bytes(Fernet.generate_key())
    other = open_vault(start_state(), key_file)
    uses: list[Callable[[], object]] = [lambda: other.find(ACCOUNT.login), lambda: list(other.rotate())]
    for use in uses:
        with pytest.raises(StateError, match="restore that key"):
            use()
    key_file.write_bytes(key)
    assert open_vault(start_state(), key_file).find(ACCOUNT.login) == ACCOUNT


# What leaves it, and comes back


def test_what_was_dumped_can_be_restored_into_another_vault_with_its_keys(
    vault: StoredVault, start_state: OpenState, key_file: Path
) -> None:
    for account in (ACCOUNT, PLAIN):
        vault.add(account)
    records = [json.loads(json.dumps(record)) for record in vault.dump()]
    for account in (ACCOUNT, PLAIN):
        vault.remove(account.login)
    other = open_vault(start_state(), key_file)
    for record in records:
        other.add(other.dumped(record))
        with pytest.raises(AccountExists):
            other.add(other.dumped(record))
    assert list(vault.all()) == [PLAIN, ACCOUNT]


def test_nothing_secret_is_in_a_dump(vault: StoredVault) -> None:
    vault.add(ACCOUNT)
    dumped = json.dumps(list(vault.dump()))
    assert "the printer" in dumped  # or there would be nothing to look for
    for secret in SECRETS:
        assert secret not in dumped


def test_all_are_found_however_many_there_are(vault: StoredVault, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read in pages."""
    monkeypatch.setattr(vaults, "PAGE_ROWS", 3)
    names = [f"user{number}" for number in range(7)]
    for name in names:
        vault.add(replace(ACCOUNT, login=name))
    assert list(vault.all()) == [replace(ACCOUNT, login=name) for name in names]
    assert [(record["name"], len(record["passwords"])) for record in vault.dump()] == [(name, 1) for name in names]


@pytest.mark.parametrize(
    "change",
    [
        *({"passwords": 5}, {"passwords": [5]}, {"passwords": [{}]}, {"secret": 5}, {"name": None}),
        *({"created": 10**400}, {"created": "1"}, {"salt": "Ä"}, {"on_delete": "shred"}),
    ],
)
def test_what_is_no_dump_is_told_and_changes_nothing(vault: StoredVault, change: Mapping[str, Any]) -> None:
    vault.add(ACCOUNT)
    [whole] = vault.dump()
    vault.remove(ACCOUNT.login)
    for record in ({**whole, **change}, {}):
        with pytest.raises(BadRecord, match="no account of an export"):
            vault.dumped(record)
    assert list(vault.all()) == []


def test_a_dump_of_another_vault_needs_its_keys(
    vault: StoredVault, start_state: OpenState, key_file: Path
) -> None:
    vault.add(ACCOUNT)
    [record] = vault.dump()
    vault.remove(ACCOUNT.login)
    key_file.write_bytes(Fernet.generate_key())
    with pytest.raises(StateError, match="another key"):
        open_vault(start_state(), key_file).dumped(record)
