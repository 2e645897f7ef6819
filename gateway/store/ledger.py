"""What is remembered of a maildrop between sessions."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.maildrop import Correction, Intent, Mark, Memory, Revision, Sighting
from gateway.store.database import Database, Statements

# A mailbox may come back under the UIDVALIDITY that it had: what was marked then is remembered for so long after.
OUTDATED_SECONDS = 30 * 86_400.0

_IN_ROWS = "(maildrop, uidvalidity, uid) IN ({rows})"
_OF_MAILDROP = "WHERE maildrop=? AND uidvalidity=?"
_UNIQUE = "(maildrop, uidvalidity, uid)"
_MARKED = ("promised", "hidden")
_Rows = list[tuple[Any, ...]]


class StoredLedger:
    """Implements ports.Ledger in a database with the tables of schema.LEDGER."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def recall(self, maildrop: str, uidvalidity: int) -> Memory:
        """All that is known under this UIDVALIDITY, and how the mailbox looked."""
        key = (maildrop, uidvalidity)
        with self._database.reading() as database:

            def rows(columns: str, table: str) -> _Rows:
                return database.execute(f"SELECT {columns} FROM {table} {_OF_MAILDROP}", key).fetchall()  # noqa: S608 - ours

            promised = rows("uid, copied, octets, since, absent_since", "promised")
            hidden = rows("uid, octets, since, absent_since", "hidden")
            corrections = rows("uid, listed, octets", "size")
            sightings = database.execute(
                "SELECT accepted, uidvalidity, messages, since, uidnext FROM sighting WHERE maildrop=?",
                (maildrop,),
            ).fetchall()
        seen = {bool(accepted): Sighting(*row) for accepted, *row in sightings}
        return Memory(
            promised={uid: Mark(*mark) for uid, _, *mark in promised},
            hidden={uid: Mark(*mark) for uid, *mark in hidden},
            corrections={uid: Correction(*row) for uid, *row in corrections},
            copied=frozenset(uid for uid, copied, *_ in promised if copied),
            accepted=seen.get(True),
            doubted=seen.get(False),
        )

    def doubt(self, maildrop: str, sighting: Sighting) -> None:
        """How the mailbox looked when it was not shown."""
        with self._database.writing() as database:
            _note(database, maildrop, sighting, accepted=False)

    def accept(self, maildrop: str, uidvalidity: int, sighting: Sighting | None, revision: Revision) -> None:
        """How the mailbox looked when it was shown, which ends what was doubted before; None: as noted already."""
        drops = {
            "promised": revision.not_promised,
            "hidden": revision.not_hidden,
            "size": revision.not_corrected,
        }
        marks = [(table, _marked(maildrop, uidvalidity, marks)) for table, marks in _tables(revision)]
        with self._database.writing() as database:
            if sighting is not None:
                _accept(database, maildrop, uidvalidity, sighting)
            for table, rows in marks:
                _insert(database, table, rows, "DO UPDATE SET absent_since=excluded.absent_since")
            for table, uids in drops.items():
                _delete(database, table, [(maildrop, uidvalidity, uid) for uid in uids])

    def intend(self, maildrop: str, intent: Intent) -> None:
        """All of it is durable when this returns, or none of it. What is marked already stays as it is."""
        marks = [(table, _marked(maildrop, intent.uidvalidity, marks)) for table, marks in _tables(intent)]
        with self._database.writing() as database:
            for table, rows in marks:
                _insert(database, table, rows, "DO NOTHING")
            if intent.after is not None:
                _accept(database, maildrop, intent.uidvalidity, intent.after)

    def take_back(self, maildrop: str, intent: Intent) -> None:
        """But not what another session had marked before."""
        with self._database.writing() as database:
            for table, marks in _tables(intent):
                rows = [(maildrop, intent.uidvalidity, uid, mark.since) for uid, mark in marks.items()]
                database.execute_for(
                    f"DELETE FROM {table} WHERE (maildrop, uidvalidity, uid, since) IN ({{rows}})",  # noqa: S608 - ours
                    rows,
                )

    def note_copied(self, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        with self._database.writing() as database:
            database.execute_for(
                f"UPDATE promised SET copied=1 WHERE {_IN_ROWS}",  # noqa: S608 - ours
                [(maildrop, uidvalidity, uid) for uid in uids],
            )

    def fulfil(self, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        with self._database.writing() as database:
            _delete(database, "promised", [(maildrop, uidvalidity, uid) for uid in uids])

    def correct(self, maildrop: str, uidvalidity: int, corrections: Mapping[int, Correction]) -> None:
        """What these messages really have, in octets as sent."""
        rows = [(maildrop, uidvalidity, uid, row.listed, row.octets) for uid, row in corrections.items()]
        with self._database.writing() as database:
            database.execute_for(
                "INSERT INTO size (maildrop, uidvalidity, uid, listed, octets) {rows}"
                f" ON CONFLICT {_UNIQUE} DO UPDATE SET listed=excluded.listed, octets=excluded.octets",
                rows,
            )

    def close(self) -> None:
        self._database.close()


def _tables(changes: Intent | Revision) -> tuple[tuple[str, Mapping[int, Mark]], ...]:
    return ("promised", changes.promised), ("hidden", changes.hidden)


def _marked(maildrop: str, uidvalidity: int, marks: Mapping[int, Mark]) -> _Rows:
    """In the order of their UIDs: two that write the same rows may wait for one another, but not both at once."""
    return [
        (maildrop, uidvalidity, uid, mark.octets, mark.since, mark.absent_since)
        for uid, mark in sorted(marks.items())
    ]


def _insert(database: Statements, table: str, rows: _Rows, otherwise: str) -> None:
    database.execute_for(
        f"INSERT INTO {table} (maildrop, uidvalidity, uid, octets, since, absent_since)"
        f" {{rows}} ON CONFLICT {_UNIQUE} {otherwise}",
        rows,
    )


def _delete(database: Statements, table: str, rows: _Rows) -> None:
    database.execute_for(f"DELETE FROM {table} WHERE {_IN_ROWS}", rows)  # noqa: S608 - ours


def _note(database: Statements, maildrop: str, seen: Sighting, *, accepted: bool) -> None:
    database.execute(
        "INSERT INTO sighting (maildrop, accepted, uidvalidity, messages, since, uidnext)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (maildrop, accepted) DO UPDATE SET"
        " uidvalidity=excluded.uidvalidity, messages=excluded.messages, since=excluded.since,"
        " uidnext=excluded.uidnext",
        (maildrop, int(accepted), seen.uidvalidity, seen.messages, seen.since, seen.uidnext),
    )


def _accept(database: Statements, maildrop: str, uidvalidity: int, seen: Sighting) -> None:
    """`uidvalidity` is the mailbox's present one; the sighting's own may stand for any."""
    before = database.execute(
        "SELECT uidvalidity FROM sighting WHERE maildrop=? AND accepted=1", (maildrop,)
    ).fetchone()
    for table in _MARKED:
        if before is not None and before[0] != uidvalidity:  # in use until now, however old its marks
            database.execute(
                f"UPDATE {table} SET since=? {_OF_MAILDROP}",  # noqa: S608 - ours
                (seen.since, maildrop, before[0]),
            )
        database.execute(
            f"DELETE FROM {table} WHERE maildrop=? AND uidvalidity<>? AND since<?",  # noqa: S608 - ours
            (maildrop, uidvalidity, seen.since - OUTDATED_SECONDS),
        )
    database.execute("DELETE FROM size WHERE maildrop=? AND uidvalidity<>?", (maildrop, uidvalidity))
    database.execute("DELETE FROM sighting WHERE maildrop=?", (maildrop,))
    _note(database, maildrop, seen, accepted=True)
