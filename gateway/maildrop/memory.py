"""What is known of a maildrop from earlier sessions: promises, what is hidden, sizes that were learned.

All of it is by UID, and a UID alone is not enough: some servers start again at 1 after a restart and keep
UIDVALIDITY. So a message is recognised by its size, too, and UIDNEXT must never have been higher than it is.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.maildrop.doubt import Sighting
from gateway.maildrop.plan import OnDelete
from gateway.maildrop.snapshot import Snapshot

# Yahoo shows the newest 10,000 messages of a folder: the oldest are away for a while, and come back.
ABSENT_SECONDS = 90 * 86_400.0

# What the client deletes by these stays in the mailbox, and is hidden from then on.
_STAYS = frozenset({OnDelete.KEEP, OnDelete.FLAG})


@dataclass(frozen=True, slots=True)
class Mark:
    """On a message that is promised or hidden."""

    octets: int | None = None  # the upstream's size; None: not known
    since: float = 0.0  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Correction:
    """Of a size that the upstream tells wrongly."""

    listed: int | None  # what it tells; None: not known
    octets: int  # as really sent


@dataclass(frozen=True, slots=True)
class Memory:
    """UIDs are those of the UIDVALIDITY that was asked for."""

    promised: Mapping[int, Mark] = field(default_factory=dict)  # +OK was said, the upstream has not done it yet
    hidden: Mapping[int, Mark] = field(default_factory=dict)  # deleted for this client, kept in the mailbox
    corrections: Mapping[int, Correction] = field(default_factory=dict)
    copied: frozenset[int] = frozenset()  # of what is promised: already where the policy moves it
    accepted: Sighting | None = None  # the last one that was shown to a client
    doubted: Sighting | None = None  # the first one that was not, since then


@dataclass(frozen=True, slots=True)
class Recognised:
    """A memory held against the mailbox as it is now."""

    promised: tuple[int, ...] = ()  # and still there, ascending
    hidden: frozenset[int] = frozenset()
    sizes: Mapping[int, int] = field(default_factory=dict)  # octets as really sent
    gone: frozenset[int] = frozenset()  # nothing need be remembered of these
    void: frozenset[int] = frozenset()  # nor of these: the UID belongs to another message now

    @property
    def unseen(self) -> frozenset[int]:
        """What the client does not see."""
        return self.hidden.union(self.promised)


def recognise(memory: Memory, seen: Snapshot, now: float) -> Recognised:
    marks = {**memory.hidden, **memory.promised}
    if not marks and not memory.corrections:
        return Recognised()
    if _given_anew(memory.accepted, seen):
        return Recognised(void=frozenset(marks) | memory.corrections.keys())
    sizes = dict(zip(seen.uids, seen.sizes, strict=True))
    void = {uid for uid, mark in marks.items() if mark.octets not in {None, sizes.get(uid, mark.octets)}}
    lowest = min(seen.uids, default=2**32)
    gone = {
        uid
        for uid, mark in marks.items()
        if uid not in sizes and (uid > lowest or now - mark.since > ABSENT_SECONDS)
    }
    wrong = {
        uid: row.octets
        for uid, row in memory.corrections.items()
        if row.listed in {None, sizes.get(uid, row.listed)}
    }
    there = sizes.keys() - void
    return Recognised(
        promised=tuple(sorted(memory.promised.keys() & there)),
        hidden=frozenset(memory.hidden.keys() & there),
        sizes={uid: octets for uid, octets in wrong.items() if uid in sizes},
        gone=frozenset(gone | (memory.corrections.keys() - sizes.keys() - marks.keys())),
        void=frozenset(void | (memory.corrections.keys() - wrong.keys())),
    )


def _given_anew(before: Sighting | None, seen: Snapshot) -> bool:
    """UIDNEXT never shrinks (RFC 3501 section 2.3.1.1): where it has, all UIDs may be other messages."""
    return before is not None and before.uidvalidity == seen.uidvalidity and 0 < seen.uidnext < before.uidnext


@dataclass(frozen=True, slots=True)
class Intent:
    """What a QUIT is about to do: durable before the first change upstream."""

    uidvalidity: int
    promised: Mapping[int, Mark] = field(default_factory=dict)  # to be done upstream
    hidden: Mapping[int, Mark] = field(default_factory=dict)  # not shown any more, and left there
    before: Sighting | None = None  # what the mailbox was accepted as
    after: Sighting | None = None  # and will be: what our own deletions make smaller is not to be doubted


def intend(uids: Collection[int], on_delete: OnDelete, seen: Snapshot, before: Sighting) -> Intent:
    """To delete these, at the time of `before`. `seen` is the upstream's snapshot, with the upstream's sizes."""
    marks = {uid: Mark(octets, before.since) for uid, octets in _sizes(seen, uids)}
    stays = on_delete in _STAYS
    return Intent(
        seen.uidvalidity,
        promised={} if on_delete is OnDelete.KEEP else marks,
        hidden=marks if stays else {},
        before=before,
        after=before if stays else replace(before, messages=before.messages - len(uids)),
    )


def _sizes(seen: Snapshot, uids: Collection[int]) -> Iterable[tuple[int, int]]:
    wanted = frozenset(uids)
    return ((uid, size) for uid, size in zip(seen.uids, seen.sizes, strict=True) if uid in wanted)
