"""The accounts in every state: encrypted, found in any spelling, changed whole or not at all."""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from gateway.errors import AccountExists, BadRecord, NoSuchAccount, StateError
from gateway.maildrop import OnDelete
from gateway.ports import AppPassword, Grant, Registration, Renewal, StoredAccount
from gateway.sasl import Key, ScramKeys, Secret
from gateway.store import Keys, State, StoredVault, open_state
from gateway.store import vault as vaults
from gateway.store.keys import add_key
from gateway.store.schema import VAULT, Schema
from gateway.store.sqlite import SqliteDatabase
from gateway.store.state import VAULT_FILE
from tests.store.conftest import OpenState

PASSWORD = AppPassword(
    name="kx3v7q",
    label="the printer, 2nd floor",
    key=Key("kx3v7q", Secret("abcd-efgh-jkmn-pqrs"), {"SHA-256": ScramKeys(b"stored\0\xff", b"server\0\xfe")}),
    hashed="$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
    created=1.5,
    used=2.5,
    expires=3.5,
    read_only=True,
    folder="Scans",
    networks=("192.0.2.0/24", "2001:db8::/32"),
    on_delete=OnDelete.KEEP,
)
GRANT = Grant(
    provider="microsoft365",
    renewal=Renewal.REFRESH,
    since=1000.5,
    registration=Registration("our application", Secret("proof-of-the-application")),
    refresh=Secret("refresh-token-äöü"),
    access=Secret("access-token"),
    renewed=2000.5,
    expires=5600.5,
    turned_down=1900.5,
    tried=2001.5,
    fault="no answer",
    trouble="consent was withdrawn",
)
ACCOUNT = StoredAccount(
    login="Ännchen@Example.org",
    upstream="imaps://imap.example.com",
    user="ann",
    secret=Secret("the upstream's own"),
    salt=b"0123456789abcdef",
    created=1.25,
    folder="INBOX",
    on_delete=OnDelete.TRASH,
    passwords=(PASSWORD,),
    grant=GRANT,
)
SECRETS = ("upstream's own", "abcd-efgh", "proof-of", "refresh-token", "access-token")
PLAIN = StoredAccount("bob", "", "bob", Secret(""), b"s" * 16, 2.0)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "vault.keys"


def open_vault(state: State, key_file: Path) -> StoredVault:
    return state.vault(lambda may_be_new: Keys.of(None, key_file, may_be_new=may_be_new))


@pytest.fixture
def vault(state: State, key_file: Path) -> StoredVault:
    return open_vault(state, key_file)


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
