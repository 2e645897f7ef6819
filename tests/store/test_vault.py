"""The accounts in every state: encrypted, found in any spelling, changed whole or not at all."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import AccountExists, NoSuchAccount, StateError
from gateway.maildrop import OnDelete
from gateway.ports import StoredAccount
from gateway.sasl import Secret
from gateway.store import Keys, StoredVault, open_state
from gateway.store.schema import VAULT, Schema
from gateway.store.sqlite import SqliteDatabase
from gateway.store.state import VAULT_FILE
from tests.store.conftest import OpenState
from tests.store.vaults import ACCOUNT, GRANT, PASSWORD, PLAIN, SECRETS, open_vault


def test_an_account_is_found_as_it_was_added_in_any_spelling_and_process(
    vault: StoredVault, start_state: OpenState, key_file: Path
) -> None:
    vault.add(ACCOUNT)
    vault.add(PLAIN)
    for reader in (vault, open_vault(start_state(), key_file)):
        for spelling in ("äNNCHEN@example.ORG", "A\u0308nnchen@Example.org", "Ännchen@exam\u00adple.org"):
            assert reader.find(spelling) == ACCOUNT
        assert list(reader.all()) == [PLAIN, ACCOUNT]
        assert reader.find("ann") is None
        assert not reader.is_unused


def test_without_an_account_there_are_no_keys(vault: StoredVault, key_file: Path) -> None:
    assert vault.is_unused or vault.find("ann") is None
    assert list(vault.all()) == []
    assert not key_file.exists()


def test_a_name_is_taken_once(vault: StoredVault, start_state: OpenState, key_file: Path) -> None:
    """By whoever is first, however many add it at once."""
    vaults = [vault, *(open_vault(start_state(), key_file) for _ in range(3))]
    vault.add(PLAIN)
    begin, refused = threading.Barrier(len(vaults)), []

    def add(one: StoredVault, number: int) -> None:
        begin.wait()
        try:
            one.add(replace(ACCOUNT, user=f"ann{number}"))
        except AccountExists:
            refused.append(number)

    threads = [threading.Thread(target=add, args=(one, number)) for number, one in enumerate(vaults)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = set(range(len(vaults))) - set(refused)
    assert vault.find(ACCOUNT.login) == replace(ACCOUNT, user=f"ann{winner}")


def test_an_account_goes_with_its_passwords(vault: StoredVault) -> None:
    vault.add(ACCOUNT)
    vault.remove(ACCOUNT.login.upper())
    assert vault.find(ACCOUNT.login) is None
    vault.add(replace(ACCOUNT, passwords=()))
    assert vault.find(ACCOUNT.login) == replace(ACCOUNT, passwords=())


def test_what_is_changed_is_changed_and_nothing_else(vault: StoredVault) -> None:
    vault.add(ACCOUNT)
    vault.add(PLAIN)
    later = replace(PASSWORD, name="later", label="", created=9.0, key=replace(PASSWORD.key, name="later"))
    vault.add_password(ACCOUNT.login, later)
    vault.set_secret(ACCOUNT.login, Secret("new"))
    vault.note_used(ACCOUNT.login, "later", 77.5)
    vault.revoke(ACCOUNT.login, PASSWORD.name)
    assert vault.find(ACCOUNT.login) == replace(
        ACCOUNT, secret=Secret("new"), passwords=(replace(later, used=77.5),)
    )
    assert vault.find("bob") == PLAIN


def test_a_mailbox_may_move_and_its_passwords_stay(vault: StoredVault) -> None:
    vault.add(ACCOUNT)
    vault.add(PLAIN)
    moved = replace(
        ACCOUNT, upstream="imaps://imap.example.net", user="u", folder="Archive", on_delete=OnDelete.FLAG
    )
    vault.change(replace(moved, secret=Secret("another"), passwords=()))
    assert vault.find(ACCOUNT.login) == moved
    vault.change(replace(moved, upstream="", folder="", on_delete=None))
    assert vault.find(ACCOUNT.login) == replace(moved, upstream="", folder="", on_delete=None)
    assert vault.find("bob") == PLAIN


def test_what_is_not_there_cannot_be_changed(vault: StoredVault) -> None:
    vault.add(PLAIN)
    changes: list[Callable[[], None]] = [
        lambda: vault.remove("ann"),
        lambda: vault.change(ACCOUNT),
        lambda: vault.set_secret("ann", Secret("x")),
        lambda: vault.set_grant("ann", GRANT),
        lambda: vault.add_password("ann", PASSWORD),
        lambda: vault.revoke("ann", "x"),
        lambda: vault.revoke("bob", "x"),
    ]
    for change in changes:
        with pytest.raises(NoSuchAccount):
            change()
    assert list(vault.all()) == [PLAIN]


# What a provider has granted


def test_a_grant_is_kept_with_its_account(vault: StoredVault, start_state: OpenState, key_file: Path) -> None:
    vault.add(PLAIN)
    vault.set_grant("BOB", GRANT)
    for reader in (vault, open_vault(start_state(), key_file)):
        assert reader.grant("Bob") == GRANT
        assert reader.find("bob") == replace(PLAIN, grant=GRANT)
    vault.set_grant("bob", None)
    assert vault.grant("bob") is None
    assert vault.grant("nobody") is None


def test_what_comes_of_a_grant_is_kept_in_its_place(vault: StoredVault) -> None:
    vault.add(ACCOUNT)
    later = replace(GRANT, access=Secret("the next"), renewed=3000.0, fault="", trouble="")
    assert vault.revise_grant(ACCOUNT.login.upper(), later)
    assert vault.find(ACCOUNT.login) == replace(ACCOUNT, grant=later)


def test_what_comes_of_a_grant_is_not_kept_where_somebody_has_signed_in_anew(vault: StoredVault) -> None:
    vault.add(ACCOUNT)
    newer = replace(GRANT, since=GRANT.since + 1, refresh=Secret("of the new sign-in"))
    vault.set_grant(ACCOUNT.login, newer)
    assert not vault.revise_grant(ACCOUNT.login, replace(GRANT, trouble="revoked"))
    assert vault.grant(ACCOUNT.login) == newer
    vault.remove(ACCOUNT.login)
    assert not vault.revise_grant(ACCOUNT.login, newer)


def test_of_many_who_revise_a_grant_each_has_it_whole(
    vault: StoredVault, start_state: OpenState, key_file: Path
) -> None:
    vault.add(ACCOUNT)
    vaults = [vault, *(open_vault(start_state(), key_file) for _ in range(3))]
    begin, done = threading.Barrier(len(vaults)), []

    def revise(one: StoredVault, number: int) -> None:
        begin.wait()
        done.append(one.revise_grant(ACCOUNT.login, replace(GRANT, access=Secret(f"token {number}"))))

    threads = [threading.Thread(target=revise, args=(one, number)) for number, one in enumerate(vaults)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True] * len(vaults)
    kept = vault.grant(ACCOUNT.login)
    assert kept in [replace(GRANT, access=Secret(f"token {number}")) for number in range(len(vaults))]


def test_an_export_of_before_there_were_grants_is_restored(vault: StoredVault) -> None:
    vault.add(PLAIN)
    [record] = vault.dump()
    vault.remove(PLAIN.login)
    vault.add(vault.dumped({name: value for name, value in record.items() if name != "granted"}))
    assert vault.find(PLAIN.login) == PLAIN


# In a file


def test_accounts_of_before_there_were_grants_are_as_they_were(tmp_path: Path, key_file: Path) -> None:
    earlier = Schema(VAULT.name, VAULT.migrations[:1], VAULT.lost)
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / VAULT_FILE
    secret = Keys.of(None, key_file, may_be_new=True).encrypt("the password")
    with (
        contextlib.closing(SqliteDatabase(file, earlier, lambda: None)) as database,
        database.writing() as written,
    ):
        row = ("bob", "bob", "", "bob", secret, "cw==", 2.0, "", "")
        written.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    with contextlib.closing(open_state(tmp_path / "state")) as state:
        assert open_vault(state, key_file).find("bob") == replace(PLAIN, salt=b"s", secret=Secret("the password"))


def test_the_file_is_not_made_before_it_is_needed_and_holds_no_secret(tmp_path: Path, key_file: Path) -> None:
    with contextlib.closing(open_state(tmp_path / "state")) as state:
        vault = open_vault(state, key_file)
        unused = [vault.is_unused]
        assert not (tmp_path / "state" / VAULT_FILE).exists()
        open_vault(state, key_file).add(ACCOUNT)
        assert [*unused, vault.is_unused] == [True, False]
        assert vault.find(ACCOUNT.login) == ACCOUNT
    octets = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir() if path.is_file())
    assert b"the printer" in octets
    for secret in SECRETS:
        assert secret.encode() not in octets


def test_a_full_disk_is_told_and_loses_nothing(
    tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says the same where the disk is full and where a file has as many pages as it may."""
    connect = SqliteDatabase._connect

    def small(database: SqliteDatabase) -> Any:
        made = connect(database)
        made.database.execute("PRAGMA max_page_count=16")
        return made

    monkeypatch.setattr(SqliteDatabase, "_connect", small)
    added: list[StoredAccount] = []
    with contextlib.closing(open_state(tmp_path / "state")) as state:
        vault = open_vault(state, key_file)

        def fill() -> None:
            while True:
                account = replace(ACCOUNT, login=f"user{len(added):03}")
                vault.add(account)
                added.append(account)

        with pytest.raises(StateError, match="disk is full"):
            fill()
        assert len(added) > 3
        assert list(vault.all()) == added
        for account in added:
            vault.remove(account.login)
        vault.add(ACCOUNT)  # there is room again
