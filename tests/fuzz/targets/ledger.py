"""Any octets in the place of the state file: it is read, or it is a StateError."""

import tempfile
from pathlib import Path
from random import Random

from gateway.errors import StateError
from gateway.maildrop import Memory
from gateway.store.ledger import StoredLedger
from gateway.store.schema import LEDGER
from gateway.store.sqlite import SqliteDatabase
from tests.fuzz.bugs import demand

TOKENS = (
    *(b"SQLite format 3\0", b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x0d", b"\x0a", b"\x05"),
    *(b"CREATE TABLE promised (a)", b"CREATE INDEX i ON size (uid)", b"hidden", b"sighting", b"\x81\x00"),
)
MAILDROP = "h\x00993\x00ann\x00INBOX"
VALIDITY = 9


def run(octets: bytes, random: Random) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.sqlite"
        file.write_bytes(octets)
        try:
            ledger = StoredLedger(SqliteDatabase(file, LEDGER, lambda: None))
        except StateError as error:
            return _refused(error)
        try:
            demand(isinstance(ledger.recall(MAILDROP, VALIDITY), Memory), "something else is recalled")
        except StateError as error:
            return _refused(error)
        finally:
            ledger.close()
    return "recalled"


def _refused(error: StateError) -> str:
    demand("ledger.sqlite" in str(error), f"the error does not say which file: {error}")
    return "refused"
