"""A login: what is remembered is held against the mailbox as it is now."""

import math
from collections.abc import Callable
from dataclasses import replace

from gateway.errors import UpstreamDoubtful
from gateway.maildrop import Caution, OnDelete, Snapshot, Verdict, judge, recognise, sight
from gateway.ports import Account, Mailbox, Upstream
from gateway.remembered.mailbox import RememberedMailbox
from gateway.remembered.page import Page, Rooms
from gateway.remembered.promises import Promises
from gateway.telemetry.events import MemoryVoid, SnapshotBelieved, SnapshotDoubted


class RememberedMailboxes:
    """Implements ports.Mailboxes over a mail server."""

    def __init__(self, upstream: Upstream, caution: Caution, rooms: Rooms) -> None:
        self._upstream = upstream
        self._caution = caution
        self._rooms = rooms

    async def open(self, account: Account, admit: Callable[[], None]) -> RememberedMailbox:
        """Raises UpstreamDoubtful, besides what the upstream raises, and StateError."""
        examination = _Examination(account, self._caution, self._rooms)
        mailbox = await self._upstream.open(account, admit, examination.examine)
        return examination.remembered(mailbox)


class _Examination:
    """Of one mailbox at one login."""

    def __init__(self, account: Account, caution: Caution, rooms: Rooms) -> None:
        self._account = account
        self._caution = caution
        self._rooms = rooms

    def examine(self, seen: Snapshot) -> None:
        """Blocking: all that is to be read of the ledger and written. Raises UpstreamDoubtful and StateError."""
        ledger, key, emit = self._rooms.ledger, self._account.memory_key, self._rooms.emit
        user, now = self._account.user, self._rooms.clock()
        memory = ledger.recall(key, seen.uidvalidity)
        known = recognise(memory, seen, now, self._account.policy.on_delete)
        sighting = sight(memory, seen, known, now)
        verdict = judge(memory.accepted, memory.doubted, sighting, self._caution)
        if verdict.reason:  # and nothing is learned from what is not believed
            if verdict.noted:
                ledger.doubt(key, verdict.noted)
            emit(SnapshotDoubted(user, verdict.reason, round(verdict.seconds_left)))
            raise _doubtful(verdict)
        if memory.doubted is not None:
            emit(SnapshotBelieved(user, len(seen)))
        if verdict.noted or known.revision:
            ledger.accept(key, seen.uidvalidity, verdict.noted, known.revision)
        if known.void:
            emit(MemoryVoid(user, len(known.void)))
        shown = seen.without(known.unseen).corrected(known.sizes)
        if self._account.policy.on_delete is OnDelete.KEEP:
            shown = replace(shown, read_only=False)  # nothing will be written
        self._found = shown, verdict.noted or memory.accepted or sighting, known.promised, memory.copied

    def remembered(self, mailbox: Mailbox) -> RememberedMailbox:
        """After examine(), of what that was given."""
        shown, sighting, promised, copied = self._found
        page = Page(self._rooms, self._account, mailbox.snapshot.uidvalidity)
        promises = Promises(page, mailbox, promised, copied)
        return RememberedMailbox(self._account, mailbox, shown, sighting, promises, page)


def _doubtful(verdict: Verdict) -> UpstreamDoubtful:
    """In words that fetchmail understands, see errors."""
    minutes = math.ceil(verdict.seconds_left / 60)
    when = "1 minute" if minutes == 1 else f"{minutes} minutes"
    return UpstreamDoubtful(
        f"{verdict.reason} (maildrop.guard)",
        text=f"service unavailable: {verdict.reason}; the mailbox is shown in {when} if that stays so",
    )
