"""Mailboxes with a memory: promises to delete are kept, sizes corrected, and a mailbox that shrank is doubted.

A layer between the session and the upstream, of the same shape as the upstream's (ports.Mailboxes): what it adds
is the ledger. The order of things at QUIT is what makes it safe. The intent is durable first, then the upstream is
changed, then the client is answered, then the promise is fulfilled: whatever breaks in between, a message whose
deletion was answered with +OK is in no later snapshot, and no other is ever deleted.

What the upstream could not do is tried again at the end of the next session, when no client waits for it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import (
    GatewayError,
    Refused,
    StateError,
    UpstreamDeclined,
    UpstreamDoubtful,
    UpstreamRefused,
    UpstreamUnreachable,
)
from gateway.maildrop import (
    Caution,
    CommitPlan,
    Correction,
    Intent,
    OnDelete,
    Sighting,
    Snapshot,
    intend,
    judge,
    recognise,
    sight,
)
from gateway.ports import Account, Body, Ledger, Mailbox, Mailboxes, forget_copied
from gateway.telemetry.events import (
    CommandFailed,
    DeletionDeferred,
    Event,
    MemoryVoid,
    PromisesKept,
    SnapshotDoubted,
)
from gateway.threads import Threads

# Thunderbird waits 3 s for the reply to QUIT, then closes. The update goes on after the reply.
REPLY_SECONDS = 2.0

# The upstream could not do it now, which says nothing about later.
_LATER = (UpstreamUnreachable, UpstreamRefused)


@dataclass(frozen=True, slots=True)
class Rooms:
    """What mailboxes with a memory need, besides the mailboxes."""

    ledger: Ledger
    threads: Threads  # for the ledger, which blocks
    emit: Callable[[Event], None]
    clock: Callable[[], float] = time.time


class RememberedMailboxes:
    """Implements ports.Mailboxes over another one."""

    def __init__(self, inner: Mailboxes, caution: Caution, rooms: Rooms) -> None:
        self._inner = inner
        self._caution = caution
        self._rooms = rooms

    async def open(self, account: Account, admit: Callable[[], None]) -> "RememberedMailbox":
        """Raises UpstreamDoubtful, besides what the inner one raises, and StateError."""
        mailbox = await self._inner.open(account, admit)
        try:
            return await self._rooms.threads.run(self._recall, account, mailbox)
        except BaseException:
            await mailbox.close()
            raise

    def _recall(self, account: Account, mailbox: Mailbox) -> "RememberedMailbox":
        """In a thread of the ledger's, once across for all that is to be read and written."""
        ledger, key, seen = self._rooms.ledger, account.maildrop_key, mailbox.snapshot
        now = self._rooms.clock()
        memory = ledger.recall(key, seen.uidvalidity)
        known = recognise(memory, seen, now, account.policy.on_delete)
        sighting = sight(memory, seen, known, now)
        verdict = judge(memory.accepted, memory.doubted, sighting, self._caution)
        if verdict.reason:  # and nothing is learned from what is not believed
            if verdict.noted:
                ledger.doubt(key, verdict.noted)
            self._rooms.emit(SnapshotDoubted(account.credentials.user, verdict.reason))
            raise UpstreamDoubtful(verdict.reason)
        if verdict.noted or known.revision:
            ledger.accept(key, seen.uidvalidity, verdict.noted, known.revision)
        if known.void:
            self._rooms.emit(MemoryVoid(account.credentials.user, len(known.void)))
        shown = seen.without(known.unseen).corrected(known.sizes)
        if account.policy.on_delete is OnDelete.KEEP:
            shown = replace(shown, read_only=False)  # nothing will be written
        taken_for = verdict.noted or memory.accepted or sighting
        left = _Left(known.promised, memory.copied)
        return RememberedMailbox(account, mailbox, shown, taken_for, left, self._rooms)


@dataclass(frozen=True, slots=True)
class _Left:
    """Of earlier sessions' promises: UIDs that are still to be deleted, and which of them are copied already."""

    uids: tuple[int, ...] = ()
    copied: frozenset[int] = frozenset()


class RememberedMailbox:
    """Implements ports.Mailbox over another one."""

    def __init__(
        self, account: Account, inner: Mailbox, snapshot: Snapshot, seen: Sighting, left: _Left, rooms: Rooms
    ) -> None:
        self.snapshot = snapshot
        self._account = account
        self._inner = inner
        self._seen = seen
        self._left = left
        self._rooms = rooms
        self._learned: dict[int, Correction] = {}
        self._update: asyncio.Task[None] | None = None
        self._declined = False  # the upstream will not do it, and the client is to be told
        self._answered = False  # no client waits for the update: nothing can be taken back any more

    async def open_body(self, uid: int, octets: int | None = None) -> Body:
        return await self._inner.open_body(uid, octets)

    def at_hand(self, uid: int, octets: int | None = None) -> bytes | None:
        return self._inner.at_hand(uid, octets)

    def learn(self, uid: int, octets: int) -> None:
        self._learned[uid] = Correction(self._inner.snapshot.size_of(uid), octets)

    async def commit(self, plan: CommitPlan, on_copied: Callable[[Sequence[int]], None] = forget_copied) -> bool:
        """Returns in a few seconds: False when the update goes on, its intent being durable."""
        if not plan and not self._left.uids:
            return True
        most = self._account.policy.max_deletes
        if most and len(plan.delete) > most:
            raise Refused(
                text=f"{len(plan.delete)} deletions are more than the {most} allowed: nothing was deleted"
            )
        self._update = asyncio.create_task(self._carry_out(plan, await self._make_durable(plan), on_copied))
        await asyncio.wait({self._update}, timeout=REPLY_SECONDS)
        if self._declined:  # what is being taken back is not to be answered with +OK
            await asyncio.wait({self._update})
        if self._update.done():
            self._update.result()
            return True
        self._answered = True
        return False

    def hurry(self) -> None:
        if self._update is not None and self._answered:
            self._update.cancel()

    async def close(self) -> None:
        """Waits for an update that goes on, and keeps the promises of earlier sessions if there was none."""
        try:
            if self._update is None and self._left.uids:
                self._answered = True
                self._update = asyncio.create_task(self._keep_promises())
            if self._update is not None:
                await self._end_update(self._update)
            if self._learned:
                await self._with_ledger(self._rooms.ledger.correct, self._learned)
        except GatewayError as error:
            self._emit_deferred(0, error)
        finally:
            await self._inner.close()

    async def _end_update(self, update: asyncio.Task[None]) -> None:
        try:
            await asyncio.wait({update})
        finally:
            if not update.done():  # we are cancelled, so it is, too; and it is to be over before the connection is
                update.cancel()
                await asyncio.wait({update})
        if update.cancelled():
            self._emit_deferred(0, GatewayError("another session, or the end of the gateway, was waiting"))
        elif (failure := update.exception()) and self._answered:
            raise failure

    async def _make_durable(self, plan: CommitPlan) -> Intent:
        if not plan.delete:
            return Intent(plan.uidvalidity)
        seen = replace(self._seen, since=self._rooms.clock())
        intent = intend(plan.delete, self._account.policy.on_delete, self._inner.snapshot, seen)
        await self._rooms.threads.run(self._rooms.ledger.intend, self._account.maildrop_key, intent)
        return intent

    async def _carry_out(
        self, plan: CommitPlan, intent: Intent, on_copied: Callable[[Sequence[int]], None]
    ) -> None:
        def note_copied(uids: Sequence[int]) -> None:
            self._note_copied(uids)
            on_copied(uids)

        keep = self._account.policy.on_delete is OnDelete.KEEP
        try:
            await self._inner.commit(replace(plan, delete=()) if keep else plan, note_copied)
        except UpstreamDeclined:
            await self._take_back(intent)
            raise
        except _LATER as error:
            self._emit_deferred(len(plan.delete), error)
            return
        except GatewayError:
            await self._take_back(intent)
            raise
        await self._fulfil(tuple(intent.promised))
        await self._keep_promises()

    async def _keep_promises(self) -> None:
        """The next chance for what an earlier QUIT could not carry out. Its failure is nobody's."""
        left, self._left = self._left, _Left()
        if not left.uids:
            return
        plan = CommitPlan(self.snapshot.uidvalidity, delete=left.uids, copied=left.copied)
        try:
            await self._inner.commit(plan, self._note_copied)
        except GatewayError as error:
            self._emit_deferred(len(left.uids), error)
            return
        await self._fulfil(left.uids)
        self._rooms.emit(PromisesKept(self._account.credentials.user, len(left.uids)))

    def _note_copied(self, uids: Sequence[int]) -> None:
        """In a worker thread. A note that cannot be made costs a second copy, if the rest should fail."""
        try:
            self._rooms.ledger.note_copied(self._account.maildrop_key, self.snapshot.uidvalidity, uids)
        except StateError as error:
            self._rooms.emit(CommandFailed(self._account.credentials.user, "QUIT", str(error)))

    async def _fulfil(self, uids: tuple[int, ...]) -> None:
        """It is done upstream: with a ledger that cannot be written we only look once more at the next login."""
        try:
            if uids:
                await self._with_ledger(self._rooms.ledger.fulfil, uids)
        except StateError as error:
            self._rooms.emit(CommandFailed(self._account.credentials.user, "QUIT", str(error)))

    async def _take_back(self, intent: Intent) -> None:
        """The upstream will never do it, and the client can still be told so."""
        if not self._answered and (intent.promised or intent.hidden):
            self._declined = True
            await self._rooms.threads.run(self._rooms.ledger.take_back, self._account.maildrop_key, intent)

    async def _with_ledger(self, method: Callable[[str, int, Any], None], what: object) -> None:
        await self._rooms.threads.run(method, self._account.maildrop_key, self.snapshot.uidvalidity, what)

    def _emit_deferred(self, messages: int, error: GatewayError) -> None:
        self._rooms.emit(DeletionDeferred(self._account.credentials.user, messages, str(error)))
