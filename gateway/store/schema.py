"""The tables of the state file, and how a file of an earlier version gets to them."""

import sqlite3
from pathlib import Path

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
_MIGRATIONS = (_FIRST, _PROMISED_OCTETS, _RECOGNISED, _ABSENT)
SCHEMA_VERSION = len(_MIGRATIONS)


def migrate(database: sqlite3.Connection, file: Path) -> None:
    """To be called within a transaction. Raises StateError, and sqlite3.Error."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StateError(
            f"state file {file} was written by a newer pop3-gateway (its tables have version {version}, this one"
            f" knows {SCHEMA_VERSION}): go back to that one, or set another state folder"
        )
    if version == SCHEMA_VERSION:
        return
    for migration in _MIGRATIONS[version:]:
        for statement in migration.split(";\n"):
            database.execute(statement)
    database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
