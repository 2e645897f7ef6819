"""A login: what is remembered is held against the mailbox as it is now."""

import math
from collections.abc import Callable
from dataclasses import replace

from gateway.errors import UpstreamDoubtful
from gateway.maildrop import Caution, OnDelete, Verdict, judge, recognise, sight
from gateway.ports import Account, Mailbox, Mailboxes
from gateway.remembered.mailbox import RememberedMailbox
from gateway.remembered.page import Page, Rooms
from gateway.remembered.promises import Promises
from gateway.telemetry.events import MemoryVoid, SnapshotBelieved, SnapshotDoubted


class RememberedMailboxes:
    """Implements ports.Mailboxes over another one."""

    def __init__(self, inner: Mailboxes, caution: Caution, rooms: Rooms) -> None:
        self._inner = inner
        self._caution = caution
        self._rooms = rooms

    async def open(self, account: Account, admit: Callable[[], None]) -> RememberedMailbox:
        """Raises UpstreamDoubtful, besides what the inner one raises, and StateError."""
        mailbox = await self._inner.open(account, admit)
        try:
            return await self._rooms.threads.run(self._recall, account, mailbox)
        except BaseException:
            await mailbox.close()
            raise

    def _recall(self, account: Account, mailbox: Mailbox) -> RememberedMailbox:
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
            self._rooms.emit(
                SnapshotDoubted(account.credentials.user, verdict.reason, round(verdict.seconds_left))
            )
            raise _doubtful(verdict)
        if memory.doubted is not None:
            self._rooms.emit(SnapshotBelieved(account.credentials.user, len(seen)))
        if verdict.noted or known.revision:
            ledger.accept(key, seen.uidvalidity, verdict.noted, known.revision)
        if known.void:
            self._rooms.emit(MemoryVoid(account.credentials.user, len(known.void)))
        shown = seen.without(known.unseen).corrected(known.sizes)
        if account.policy.on_delete is OnDelete.KEEP:
            shown = replace(shown, read_only=False)  # nothing will be written
        page = Page(self._rooms, account, seen.uidvalidity)
        promises = Promises(page, mailbox, known.promised, memory.copied)
        return RememberedMailbox(
            account, mailbox, shown, verdict.noted or memory.accepted or sighting, promises, page
        )


def _doubtful(verdict: Verdict) -> UpstreamDoubtful:
    """In words that fetchmail understands, see errors."""
    minutes = math.ceil(verdict.seconds_left / 60)
    when = "1 minute" if minutes == 1 else f"{minutes} minutes"
    return UpstreamDoubtful(
        f"{verdict.reason} (maildrop.guard)",
        text=f"service unavailable: {verdict.reason}; the mailbox is shown in {when} if that stays so",
    )
