"""A mailbox whose QUIT is a promise, and how it is kept."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.errors import GatewayError, Refused, UpstreamDeclined, UpstreamRefused, UpstreamUnreachable
from gateway.maildrop import CommitPlan, Correction, Intent, OnDelete, Sighting, Snapshot, intend
from gateway.ports import Account, Body, Mailbox, forget_copied
from gateway.remembered.page import Page
from gateway.remembered.promises import HURRIED, Promises

# Thunderbird waits 3 s for the reply to QUIT, then closes. The update goes on after the reply.
REPLY_SECONDS = 2.0


class RememberedMailbox:
    """Implements ports.Mailbox over another one."""

    def __init__(
        self, account: Account, inner: Mailbox, snapshot: Snapshot, seen: Sighting, promises: Promises, page: Page
    ) -> None:
        self.snapshot = snapshot
        self._account = account
        self._inner = inner
        self._seen = seen
        self._promises = promises
        self._page = page
        self._learned: dict[int, Correction] = {}
        self._update: asyncio.Task[None] | None = None
        self._declined = False  # the upstream will not do it, and the client is to be told
        self._answered = False  # no client waits for the update: nothing can be taken back any more

    async def open_body(self, uid: int, octets: int | None = None) -> Body:
        return await self._inner.open_body(uid, octets)

    def at_hand(self, uid: int, octets: int | None = None) -> bytes | None:
        return self._inner.at_hand(uid, octets)

    def peek(self, uid: int) -> bytes | None:
        return self._inner.peek(uid)

    def learn(self, uid: int, octets: int) -> None:
        self._learned[uid] = Correction(self._inner.snapshot.size_of(uid), octets)

    async def commit(self, plan: CommitPlan, on_copied: Callable[[Sequence[int]], None] = forget_copied) -> bool:
        """Returns in a few seconds: False when the update goes on, its intent being durable."""
        if not plan and not self._promises:
            return True
        most = self._account.policy.max_deletes
        if most and len(plan.delete) > most:
            why = f"nothing was deleted: {len(plan.delete)} deletions are more than the {most} allowed"
            raise Refused(f"{why} (maildrop.max_deletes)", text=why)
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
        """Waits for an update that goes on, and keeps those of earlier sessions if it did not come to that."""
        try:
            if self._update is not None:
                await _ended(self._update)
            if self._promises and (self._update is None or self._declined):
                self._answered = True
                self._update = asyncio.create_task(self._promises.keep())
                await _ended(self._update)
            if self._learned:
                await self._page.correct(self._learned)
        except GatewayError as error:
            self._page.failed(error)
        finally:
            await self._inner.close()

    async def _make_durable(self, plan: CommitPlan) -> Intent:
        if not plan.delete:
            return Intent(plan.uidvalidity)
        seen = replace(self._seen, since=self._page.now())
        intent = intend(plan.delete, self._account.policy.on_delete, self._inner.snapshot, seen)
        await self._page.intend(intent)
        return intent

    async def _carry_out(
        self, plan: CommitPlan, intent: Intent, on_copied: Callable[[Sequence[int]], None]
    ) -> None:
        def note_copied(uids: Sequence[int]) -> None:
            self._page.note_copied(uids)
            on_copied(uids)

        keep = self._account.policy.on_delete is OnDelete.KEEP
        try:
            done = await self._inner.commit(replace(plan, delete=()) if keep else plan, note_copied)
        except GatewayError as error:
            if self._answered or _may_do_it_later(error):
                self._page.deferred(len(plan.delete), str(error))
                return
            self._declined = True
            await self._take_back(intent)
            raise
        except asyncio.CancelledError:
            self._page.deferred(len(plan.delete), HURRIED)
            raise
        if done:
            await self._page.fulfil(intent.promised)
        await self._promises.keep()

    async def _take_back(self, intent: Intent) -> None:
        """The upstream will never do it, and the client can still be told so."""
        if intent.promised or intent.hidden:
            await self._page.take_back(intent)


def _may_do_it_later(error: GatewayError) -> bool:
    """The upstream could not do it now, which says nothing about another time."""
    return isinstance(error, UpstreamUnreachable | UpstreamRefused) and not isinstance(error, UpstreamDeclined)


async def _ended(update: asyncio.Task[None]) -> None:
    """It has told itself how. Where we are cancelled, so is the update: it may not outlive the mailbox."""
    try:
        await asyncio.wait({update})
    finally:
        if not update.done():
            update.cancel()
            await asyncio.wait({update})
    if not update.cancelled() and (failure := update.exception()) and not isinstance(failure, GatewayError):
        raise failure
