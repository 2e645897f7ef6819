"""Accounts for the tests of vaults, with all that one can have, and a vault with its keys."""

from pathlib import Path

from gateway.maildrop import OnDelete
from gateway.ports import AppPassword, Grant, Registration, Renewal, StoredAccount
from gateway.sasl import Key, ScramKeys, Secret
from gateway.store import Keys, State, StoredVault

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


def open_vault(state: State, key_file: Path) -> StoredVault:
    return state.vault(lambda may_be_new: Keys.of(None, key_file, may_be_new=may_be_new))
