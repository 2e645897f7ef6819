"""Mailboxes with a memory: promises to delete are kept, sizes corrected, and a mailbox that shrank is doubted.

A layer between the session and the upstream, of the same shape as the upstream's (ports.Mailboxes): what it adds
is the ledger. The order of things at QUIT is what makes it safe. The intent is durable first, then the upstream is
changed, then the client is answered, then the intent is settled: whatever breaks in between, a message whose
deletion was answered with +OK is in no later snapshot, and no other is ever deleted.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from gateway.errors import (
    GatewayError,
    Refused,
    StateError,
    UpstreamDeclined,
    UpstreamDoubtful,
    UpstreamRefused,
    UpstreamUnreachable,
)
from gateway.maildrop import Caution, CommitPlan, Memory, OnDelete, Sighting, Snapshot, doubt
from gateway.ports import Account, Body, Ledger, Mailbox, Mailboxes
from gateway.telemetry.events import (
    CommandFailed,
    DeletionDeferred,
    Event,
    PromisesKept,
    PromisesVoid,
    SnapshotDoubted,
)
from gateway.threads import Threads

# Thunderbird waits 3 s for the reply to QUIT, then closes. The update goes on after the reply.
REPLY_SECONDS = 2.0

# What the client deletes by these stays in the mailbox, and is hidden from then on.
_HIDING = frozenset({OnDelete.KEEP, OnDelete.FLAG})
# The upstream could not do it now, which says nothing about later.
_LATER = (UpstreamUnreachable, UpstreamRefused)


class RememberedMailboxes:
    """Implements ports.Mailboxes over another one."""

    def __init__(
        self,
        inner: Mailboxes,
        ledger: Ledger,
        caution: Caution,
        threads: Threads,
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inner = inner
        self._ledger = ledger
        self._caution = caution
        self._threads = threads
        self._emit = emit
        self._clock = clock

    async def open(self, account: Account, admit: Callable[[], None]) -> "RememberedMailbox":
        """Raises UpstreamDoubtful, besides what the inner one raises, and StateError."""
        mailbox = await self._inner.open(account, admit)
        try:
            return await self._recall(account, mailbox)
        except BaseException:
            await mailbox.close()
            raise

    async def _recall(self, account: Account, mailbox: Mailbox) -> "RememberedMailbox":
        key, seen = account.maildrop_key, mailbox.snapshot
        memory = await self._threads.run(self._ledger.recall, key, seen.uidvalidity)
        memory = await self._void_promises(account, memory, seen)
        messages = await self._believe(account, memory, seen)
        if memory.promised:
            await self._keep_promises(account, mailbox, memory)
        shown = seen.without(memory.promised | memory.hidden).corrected(memory.sizes)
        if account.policy.on_delete is OnDelete.KEEP:
            shown = replace(shown, read_only=False)  # nothing will be written
        return RememberedMailbox(
            account, mailbox, shown, messages, self._ledger, self._threads, self._emit, self._clock
        )

    async def _void_promises(self, account: Account, memory: Memory, seen: Snapshot) -> Memory:
        """Without those whose UID belongs to another message now: a server that restarts may give UIDs anew."""
        if not memory.promised_octets:
            return memory
        sizes = dict(zip(seen.uids, seen.sizes, strict=True))
        void = {uid for uid, octets in memory.promised_octets.items() if sizes.get(uid, octets) != octets}
        if not void:
            return memory
        await self._threads.run(self._ledger.settle, account.maildrop_key, seen.uidvalidity, void)
        self._emit(PromisesVoid(account.credentials.user, len(void)))
        return replace(memory, promised=memory.promised - void)

    async def _believe(self, account: Account, memory: Memory, seen: Snapshot) -> int:
        """How many messages there are, without those that are promised. Raises UpstreamDoubtful."""
        key, messages = account.maildrop_key, len(seen.without(memory.promised))
        now = Sighting(seen.uidvalidity, messages, self._clock())
        if reason := doubt(memory, now, self._caution):
            if memory.doubted is None or doubt(Memory(accepted=memory.doubted), now, self._caution):
                await self._threads.run(self._ledger.note, key, now, accepted=False)
            self._emit(SnapshotDoubted(account.credentials.user, reason))
            raise UpstreamDoubtful(reason)
        known = memory.accepted
        if (
            known is None
            or memory.doubted
            or (known.uidvalidity, known.messages) != (now.uidvalidity, now.messages)
        ):
            await self._threads.run(self._ledger.note, key, now, accepted=True)
        return messages

    async def _keep_promises(self, account: Account, mailbox: Mailbox, memory: Memory) -> None:
        """The next chance for what an earlier QUIT could not carry out. If it fails, the login does not."""
        key, validity = account.maildrop_key, mailbox.snapshot.uidvalidity
        present = tuple(uid for uid in mailbox.snapshot.uids if uid in memory.promised)
        try:
            if present:
                await mailbox.commit(CommitPlan(validity, delete=present))
            await self._threads.run(self._ledger.settle, key, validity, memory.promised)
        except GatewayError as error:
            self._emit(DeletionDeferred(account.credentials.user, len(present), str(error)))
        else:
            self._emit(PromisesKept(account.credentials.user, len(present)))


class RememberedMailbox:
    """Implements ports.Mailbox over another one."""

    def __init__(
        self,
        account: Account,
        inner: Mailbox,
        snapshot: Snapshot,
        messages: int,
        ledger: Ledger,
        threads: Threads,
        emit: Callable[[Event], None],
        clock: Callable[[], float],
    ) -> None:
        self.snapshot = snapshot
        self._account = account
        self._inner = inner
        self._messages = messages
        self._ledger = ledger
        self._threads = threads
        self._emit = emit
        self._clock = clock
        self._learned: dict[int, int] = {}
        self._update: asyncio.Task[None] | None = None
        self._declined = False  # the upstream will not do it, and the client is to be told
        self._answered = False  # the client has its reply to QUIT: nothing can be taken back any more

    async def open_body(self, uid: int, octets: int | None = None) -> Body:
        return await self._inner.open_body(uid, octets)

    def learn(self, uid: int, octets: int) -> None:
        self._learned[uid] = octets

    async def commit(self, plan: CommitPlan) -> bool:
        """Returns in a few seconds: False when the update goes on, its intent being durable."""
        most = self._account.policy.max_deletes
        if most and len(plan.delete) > most:
            raise Refused(
                text=f"{len(plan.delete)} deletions are more than the {most} allowed: nothing was deleted"
            )
        await self._make_durable(plan)
        self._update = asyncio.create_task(self._carry_out(plan))
        await asyncio.wait({self._update}, timeout=REPLY_SECONDS)
        if self._declined:  # what is being taken back is not to be answered with +OK
            await asyncio.wait({self._update})
        if self._update.done():
            self._update.result()
            return True
        self._answered = True
        return False

    async def close(self) -> None:
        """Waits for an update that goes on."""
        try:
            if self._update is not None:
                await asyncio.wait({self._update})
                if self._answered:
                    self._update.result()
            if self._learned:
                key, validity = self._account.maildrop_key, self.snapshot.uidvalidity
                await self._threads.run(self._ledger.learn, key, validity, self._learned)
        except GatewayError as error:
            self._emit(DeletionDeferred(self._account.credentials.user, 0, str(error)))
        finally:
            await self._inner.close()

    async def _make_durable(self, plan: CommitPlan) -> None:
        key, validity = self._account.maildrop_key, plan.uidvalidity
        if not plan.delete:
            return
        if self._account.policy.on_delete in _HIDING:
            await self._threads.run(self._ledger.hide, key, validity, plan.delete)
        else:
            # With what will be left: a mailbox that our own deletions made smaller is not to be doubted.
            left = Sighting(validity, self._messages - len(plan.delete), self._clock())
            upstream = self._inner.snapshot
            octets = dict(zip(upstream.uids, upstream.sizes, strict=True))
            await self._threads.run(self._ledger.promise, key, validity, plan.delete, left, octets)

    async def _carry_out(self, plan: CommitPlan) -> None:
        policy = self._account.policy
        upstream_plan = replace(plan, delete=()) if policy.on_delete is OnDelete.KEEP else plan
        try:
            if upstream_plan:
                await self._inner.commit(upstream_plan)
        except UpstreamDeclined:
            await self._take_back(plan)
            raise
        except _LATER as error:
            self._emit(DeletionDeferred(self._account.credentials.user, len(plan.delete), str(error)))
            return
        except GatewayError:
            await self._take_back(plan)
            raise
        if plan.delete and policy.on_delete not in _HIDING:
            await self._settle(plan)

    async def _settle(self, plan: CommitPlan) -> None:
        """It is done upstream: with a ledger that cannot be written we only look once more at the next login."""
        key, validity = self._account.maildrop_key, plan.uidvalidity
        try:
            await self._threads.run(self._ledger.settle, key, validity, plan.delete)
        except StateError as error:
            self._emit(CommandFailed(self._account.credentials.user, "QUIT", str(error)))

    async def _take_back(self, plan: CommitPlan) -> None:
        """The upstream will never do it, and the client can still be told so."""
        if not self._answered and plan.delete:
            self._declined = True
            await self._threads.run(self._ledger.settle, self._account.maildrop_key, plan.uidvalidity, plan.delete)
