"""The exclusive-access lock of RFC 1939 section 4, across machines: a row, and a holder that shows it is alive.

Not PostgreSQL's own advisory locks. Those end with the connection that took them, so each session would need one
for itself, a pooler could not stand between, and a restart of the server would free every maildrop at once.

A holder is one gateway process. It renews one row, whatever it holds, by the server's clock; where it has not done
so for LEASE_SECONDS, its maildrops are free to others. A server that was away gives all holders that time anew. A
session that has lost its maildrop in this way learns of it and is ended. Until then it is like one that works
beside another (maildrop.lock: shared), which the ledger allows for; and without the ledger it deletes nothing.
"""

import secrets
import threading
import time
from collections.abc import Callable

from gateway.errors import MaildropInUse, StateError
from gateway.ports import LockMode, MaildropLock
from gateway.store.database import Database
from gateway.store.folder import file_name
from gateway.store.locks import TAKEOVER_SECONDS

LEASE_SECONDS = 15.0  # a machine that died locks its users out for no longer
BEAT_SECONDS = 3.0
TRY_SECONDS = 0.2  # between two looks at a maildrop that somebody else holds
SWEEP_SECONDS = 600.0
FORGET_SECONDS = 86_400.0  # a holder that was never heard of again

_IS_ALIVE = (
    "EXISTS (SELECT 1 FROM holder WHERE holder.id=held.holder"
    " AND greatest(holder.seen, pg_postmaster_start_time()) > clock_timestamp() - make_interval(secs => ?))"
)
_TAKE = (
    "INSERT INTO held (maildrop, token, holder, wanted) VALUES (?, ?, ?, 0)"
    " ON CONFLICT (maildrop) DO UPDATE SET token=excluded.token, holder=excluded.holder, wanted=0"
    " WHERE held.token=ANY(?)"
)
# A statement of its own. In the one above the table of holders is as it was before we waited for whoever takes the
# maildrop at the same moment, and a holder that has just begun would not be in it.
_TAKE_OVER = f"UPDATE held SET token=?, holder=?, wanted=0 WHERE maildrop=? AND NOT {_IS_ALIVE}"  # noqa: S608 - ours
_BEAT = (
    "INSERT INTO holder (id, seen) VALUES (?, clock_timestamp()) ON CONFLICT (id) DO UPDATE SET seen=excluded.seen"
)


class Holder:
    """This process. leave() and is_wanted() look at memory only; the others block, and raise StateError."""

    def __init__(self, database: Database, call: Callable[[], None]) -> None:
        """`call` says that there is something for attend(), and does not wait for it."""
        self.watches = False  # for those who ask for what is held, and not only for what is lost
        self._database = database
        self._call = call
        self._id = secrets.token_hex(16)
        self._guard = threading.Lock()
        self._held: set[str] = set()  # tokens
        self._left: dict[str, set[str]] = {}  # by maildrop, tokens whose rows are still to be removed
        self._wanted: frozenset[str] = frozenset()
        self._beaten = self._swept = float("-inf")

    def take(self, maildrop: str) -> str | None:
        """A token; None while another session holds it."""
        token = secrets.token_hex(16)
        with self._guard:
            left = list(self._left.get(maildrop, ()))
        try:
            if time.monotonic() - self._beaten > 2 * BEAT_SECONDS:  # it was away, and others may be quicker
                with self._database.writing() as database:
                    database.execute(_BEAT, (self._id,))
            with self._database.writing() as database:
                taken = database.execute(_TAKE, (maildrop, token, self._id, left)).rowcount
                if not taken:
                    mine = (token, self._id, maildrop, LEASE_SECONDS)
                    taken = database.execute(_TAKE_OVER, mine).rowcount
        except StateError:
            self._leave(maildrop, token)  # it may have been done all the same
            raise
        if not taken:
            return None
        with self._guard:
            self._held.add(token)
        return token

    def ask(self, maildrop: str) -> None:
        """Whoever holds it is to end; that has been said, too, when we have waited in vain."""
        with self._database.writing() as database:
            database.execute("UPDATE held SET wanted=1 WHERE maildrop=? AND wanted=0", (maildrop,))

    def leave(self, maildrop: str, token: str) -> None:
        """Free at once for a session of this process; for others with the next attend()."""
        with self._guard:
            self._held.discard(token)
        self._leave(maildrop, token)
        self._call()

    def is_wanted(self, token: str) -> bool:
        """By somebody else, who may even have it."""
        return token in self._wanted

    def attend(self) -> None:
        """To be called every now and then, and soon after leave()."""
        now = time.monotonic()
        is_due = now - self._beaten >= BEAT_SECONDS
        if is_due:
            with self._database.writing() as database:
                database.execute(_BEAT, (self._id,))
            self._beaten = now
        self._remove_left()
        if is_due or self.watches:
            self._look()
        if now - self._swept >= SWEEP_SECONDS:
            self._sweep()
            self._swept = now

    def end(self) -> None:
        """Holds nothing any more."""
        with self._database.writing() as database:
            database.execute("DELETE FROM held WHERE holder=?", (self._id,))
            database.execute("DELETE FROM holder WHERE id=?", (self._id,))

    def _leave(self, maildrop: str, token: str) -> None:
        with self._guard:
            self._left.setdefault(maildrop, set()).add(token)

    def _remove_left(self) -> None:
        with self._guard:
            left = [(maildrop, token) for maildrop, tokens in self._left.items() for token in tokens]
        if not left:
            return
        with self._database.writing() as database:
            database.execute_for("DELETE FROM held WHERE (maildrop, token) IN ({rows})", sorted(left))
        with self._guard:
            for maildrop, token in left:
                self._left[maildrop].discard(token)
                if not self._left[maildrop]:
                    del self._left[maildrop]

    def _look(self) -> None:
        with self._guard:
            held = frozenset(self._held)
        if not held:
            self._wanted = held
            return
        with self._database.reading() as database:
            rows = database.execute("SELECT token, wanted FROM held WHERE holder=?", (self._id,)).fetchall()
        self._wanted = held - {token for token, wanted in rows if not wanted}

    def _sweep(self) -> None:
        with self._database.writing() as database:
            database.execute(f"DELETE FROM held WHERE NOT {_IS_ALIVE}", (LEASE_SECONDS,))  # noqa: S608 - ours
            database.execute(
                "DELETE FROM holder WHERE seen < clock_timestamp() - make_interval(secs => ?)", (FORGET_SECONDS,)
            )


class LeasedLocks:
    """Implements ports.Locks for all machines that share a database."""

    def __init__(self, holder: Holder, mode: LockMode = LockMode.EXCLUSIVE, patience: float = 0.0) -> None:
        """`patience`: seconds to wait for a lock that is held, because sessions do end just then."""
        self._holder = holder
        self._kind = _KINDS[mode]
        self._patience = patience
        if self._kind.asks:
            holder.watches = True

    def lock(self, maildrop_key: str) -> MaildropLock:
        return self._kind(self._holder, file_name(maildrop_key), self._patience)


class LeasedLock:
    """Implements ports.MaildropLock."""

    asks = False  # the holder to end

    def __init__(self, holder: Holder, maildrop: str, patience: float) -> None:
        self._holder = holder
        self._maildrop = maildrop
        self._patience = patience
        self._token: str | None = None

    @property
    def is_wanted(self) -> bool:
        return self._token is not None and self._holder.is_wanted(self._token)

    def acquire(self) -> None:
        end = time.monotonic() + self._patience
        while (token := self._holder.take(self._maildrop)) is None:
            if time.monotonic() >= end:
                raise MaildropInUse
            if self.asks:
                self._holder.ask(self._maildrop)
            time.sleep(TRY_SECONDS)
        self._token = token

    def release(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            self._holder.leave(self._maildrop, token)


class LeasedTakeover(LeasedLock):
    """A second session marks the row; the holder's process looks at it, and ends the first."""

    asks = True

    def __init__(self, holder: Holder, maildrop: str, patience: float) -> None:
        super().__init__(holder, maildrop, max(patience, TAKEOVER_SECONDS))


class NoLease(LeasedLock):
    """Sessions side by side, each with its own snapshot."""

    def acquire(self) -> None:
        pass


_KINDS: dict[LockMode, type[LeasedLock]] = {
    LockMode.EXCLUSIVE: LeasedLock,
    LockMode.TAKEOVER: LeasedTakeover,
    LockMode.SHARED: NoLease,
}
