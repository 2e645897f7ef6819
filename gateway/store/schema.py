"""The tables, and how those of an earlier version get to be like these.

They are written in SQLite's words; PostgreSQL is told its own for the same (see postgres).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.errors import StateError

# Names are in clear: whoever reads this folder reads the mail server's names too, and nothing secret is here.
_FIRST = """
CREATE TABLE promised (maildrop TEXT, uidvalidity INTEGER, uid INTEGER, PRIMARY KEY (maildrop, uidvalidity, uid))
    WITHOUT ROWID;
CREATE TABLE hidden (maildrop TEXT, uidvalidity INTEGER, uid INTEGER, PRIMARY KEY (maildrop, uidvalidity, uid))
    WITHOUT ROWID;
CREATE TABLE size (maildrop TEXT, uidvalidity INTEGER, uid INTEGER, octets INTEGER,
    PRIMARY KEY (maildrop, uidvalidity, uid)) WITHOUT ROWID;
CREATE TABLE sighting (maildrop TEXT, accepted INTEGER, uidvalidity INTEGER, messages INTEGER, since REAL,
    PRIMARY KEY (maildrop, accepted)) WITHOUT ROWID;
"""
# The upstream's size of what was promised: some servers give a UID to another message under the same UIDVALIDITY.
_PROMISED_OCTETS = "ALTER TABLE promised ADD COLUMN octets INTEGER"
# The same of what is hidden or corrected; when it was, UIDNEXT, and what has its copy already.
_RECOGNISED = """
ALTER TABLE promised ADD COLUMN since REAL NOT NULL DEFAULT 0;
ALTER TABLE promised ADD COLUMN copied INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hidden ADD COLUMN octets INTEGER;
ALTER TABLE hidden ADD COLUMN since REAL NOT NULL DEFAULT 0;
ALTER TABLE size ADD COLUMN listed INTEGER;
ALTER TABLE sighting ADD COLUMN uidnext INTEGER NOT NULL DEFAULT 0;
"""
# A message that is missing for a moment is not forgotten at once.
_ABSENT = """
ALTER TABLE promised ADD COLUMN absent_since REAL NOT NULL DEFAULT 0;
ALTER TABLE hidden ADD COLUMN absent_since REAL NOT NULL DEFAULT 0;
"""
_LEDGER_LOST = "deletions that the mail server has not carried out yet, and what on_delete: keep hides"

# Names are in clear, for the operator's own queries; secrets are encrypted, passwords hashed.
_ACCOUNTS = """
CREATE TABLE account (login TEXT PRIMARY KEY, name TEXT NOT NULL, upstream TEXT NOT NULL,
    user_there TEXT NOT NULL, secret TEXT NOT NULL, salt TEXT NOT NULL, created REAL NOT NULL,
    folder TEXT NOT NULL, on_delete TEXT NOT NULL);
CREATE TABLE app_password (login TEXT NOT NULL REFERENCES account, name TEXT NOT NULL, label TEXT NOT NULL,
    hashed TEXT NOT NULL, keys TEXT NOT NULL, created REAL NOT NULL, used REAL NOT NULL, expires REAL NOT NULL,
    read_only INTEGER NOT NULL, folder TEXT NOT NULL, networks TEXT NOT NULL, on_delete TEXT NOT NULL,
    PRIMARY KEY (login, name));
"""
# What a provider has granted, encrypted; links by which people sign in, with the hashes of their tokens.
_GRANTS = """
ALTER TABLE account ADD COLUMN granted TEXT NOT NULL DEFAULT '';
CREATE TABLE invitation (hashed TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, login TEXT NOT NULL,
    provider TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, terms TEXT NOT NULL);
"""
# Whether a password's keys hold it so that it can be read, for APOP and CRAM-MD5; of earlier ones nobody knows.
_READABLE = """
ALTER TABLE app_password ADD COLUMN readable INTEGER NOT NULL DEFAULT 1;
CREATE INDEX app_password_readable ON app_password (readable);
"""
_VAULT_LOST = "the accounts, unless they were exported: restore the file from a backup"

# Only where several machines share a database: who holds which maildrop, who logged in when, by its own clock, and
# how long wrong passwords are held against whom.
_SESSIONS = """
CREATE TABLE holder (id TEXT PRIMARY KEY, seen TIMESTAMPTZ NOT NULL);
CREATE TABLE held (maildrop TEXT PRIMARY KEY, token TEXT NOT NULL, holder TEXT NOT NULL, wanted INTEGER NOT NULL);
CREATE INDEX held_by ON held (holder);
CREATE TABLE login (maildrop TEXT PRIMARY KEY, moment TIMESTAMPTZ NOT NULL);
CREATE TABLE deadline (place TEXT, key TEXT, due REAL NOT NULL, PRIMARY KEY (place, key));
CREATE INDEX deadline_due ON deadline (place, due, key);
"""
_SESSIONS_LOST = "nothing that a restart of all gateways does not make anew"


@dataclass(frozen=True, slots=True)
class Schema:
    """Of one file, or of one part of a database."""

    name: str
    migrations: tuple[str, ...]  # statements that lead from one version to the next
    lost: str  # with the tables

    @property
    def version(self) -> int:
        return len(self.migrations)

    def steps(self, version: int, place: str) -> Iterator[str]:
        """The statements that lead here from a version; to be run in one transaction. Raises StateError."""
        if version > self.version:
            raise StateError(
                f"{place} was written by a newer pop3-gateway (its tables have version {version}, this one knows"
                f" {self.version}): go back to that one, or set another `state`"
            )
        for migration in self.migrations[version:]:
            yield from filter(str.strip, migration.split(";\n"))


LEDGER = Schema("maildrops", (_FIRST, _PROMISED_OCTETS, _RECOGNISED, _ABSENT), _LEDGER_LOST)
VAULT = Schema("accounts", (_ACCOUNTS, _GRANTS, _READABLE), _VAULT_LOST)
SESSIONS = Schema("sessions", (_SESSIONS,), _SESSIONS_LOST)
