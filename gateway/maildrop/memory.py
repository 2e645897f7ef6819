"""What is known of a maildrop from earlier sessions: promises, what is hidden, sizes that were learned.

All of it is by UID, and a UID alone is not enough: some servers start again at 1 after a restart and keep
UIDVALIDITY. So a message is recognised by its size, too, and UIDNEXT must never have been higher than it is.
A message that is missing may be away for a moment only, so its mark outlives it for a while.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from gateway.maildrop.doubt import Sighting
from gateway.maildrop.plan import OnDelete
from gateway.maildrop.snapshot import Snapshot, given_anew

# How long a mark is kept for a message that is not there, in seconds. A promise is most likely kept by then, and
# its UID may be given anew; what is hidden may be beyond what Yahoo shows, the newest 10,000 messages of a folder.
PROMISED_ABSENT_SECONDS = 86_400.0
HIDDEN_ABSENT_SECONDS = 90 * 86_400.0

# What the client deletes by these stays in the mailbox, and is hidden from then on.
_STAYS = frozenset({OnDelete.KEEP, OnDelete.FLAG})


@dataclass(frozen=True, slots=True)
class Mark:
    """On a message that is promised or hidden. Times are in seconds since the epoch."""

    octets: int | None = None  # the upstream's size; None: not known
    since: float = 0.0
    absent_since: float = 0.0  # when it was first missed; 0: it was there at the last look


Marks = Mapping[int, Mark]  # by UID


@dataclass(frozen=True, slots=True)
class Correction:
    """Of a size that the upstream tells wrongly."""

    listed: int | None  # what it tells; None: not known
    octets: int  # as really sent


@dataclass(frozen=True, slots=True)
class Memory:
    """UIDs are those of the UIDVALIDITY that was asked for."""

    promised: Marks = field(default_factory=dict)  # +OK was said, the upstream has not done it yet
    hidden: Marks = field(default_factory=dict)  # deleted for this client, kept in the mailbox
    corrections: Mapping[int, Correction] = field(default_factory=dict)
    copied: frozenset[int] = frozenset()  # of what is promised: already where the policy moves it
    accepted: Sighting | None = None  # the last one that was shown to a client
    doubted: Sighting | None = None  # the first one that was not, since then


@dataclass(frozen=True, slots=True)
class Revision:
    """What a believed snapshot changes in a memory. New marks take the place of old ones of the same UIDs."""

    promised: Marks = field(default_factory=dict)
    hidden: Marks = field(default_factory=dict)
    not_promised: frozenset[int] = frozenset()
    not_hidden: frozenset[int] = frozenset()
    not_corrected: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.promised or self.hidden or self.not_promised or self.not_hidden or self.not_corrected)


@dataclass(frozen=True, slots=True)
class Recognised:
    """A memory held against the mailbox as it is now."""

    promised: tuple[int, ...] = ()  # and still there, ascending
    hidden: frozenset[int] = frozenset()
    sizes: Mapping[int, int] = field(default_factory=dict)  # octets as really sent
    void: frozenset[int] = frozenset()  # marked UIDs that belong to other messages now
    revision: Revision = field(default_factory=Revision)  # once the mailbox is believed

    @property
    def unseen(self) -> frozenset[int]:
        """What the client does not see."""
        return self.hidden.union(self.promised)


def recognise(memory: Memory, seen: Snapshot, now: float, on_delete: OnDelete) -> Recognised:
    """`on_delete` is the present policy: what an earlier one promised to remove stays where this one says so."""
    if not (memory.promised or memory.hidden or memory.corrections):
        return Recognised()
    if _all_given_anew(memory.accepted, seen):
        return _all_void(memory)
    there = seen.sizes_of({*memory.promised, *memory.hidden, *memory.corrections})
    void = _void(memory.promised, there) | _void(memory.hidden, there)
    due = {} if on_delete is OnDelete.KEEP else memory.promised
    promised = _lasting(due, there, void, now - PROMISED_ABSENT_SECONDS, now)
    unseen = {**memory.promised, **memory.hidden} if on_delete in _STAYS else memory.hidden
    hidden = _lasting(unseen, there, void, now - HIDDEN_ABSENT_SECONDS, now)
    sizes = {
        uid: row.octets
        for uid, row in memory.corrections.items()
        if uid in there and row.listed in {None, there[uid]}
    }
    return Recognised(
        promised=tuple(sorted(promised.keys() & there.keys())),
        hidden=frozenset(hidden.keys() & there.keys()),
        sizes=sizes,
        void=frozenset(void),
        revision=Revision(
            promised=_changed(memory.promised, promised),
            hidden=_changed(memory.hidden, hidden),
            not_promised=frozenset(memory.promised.keys() - promised.keys()),
            not_hidden=frozenset(memory.hidden.keys() - hidden.keys()),
            not_corrected=frozenset(memory.corrections.keys() - sizes.keys()),
        ),
    )


def sight(memory: Memory, seen: Snapshot, known: Recognised, now: float) -> Sighting:
    """How the mailbox looks. What is promised counts as gone, unless the policy leaves it there, hidden.

    A UIDNEXT that is not told this time was not lower than the last one that was.
    """
    last = memory.accepted
    told = last.uidnext if last is not None and last.uidvalidity == seen.uidvalidity else 0
    messages = len(seen) - len(known.unseen - known.hidden)
    return Sighting(seen.uidvalidity, messages, now, seen.uidnext or told)


def _all_given_anew(before: Sighting | None, seen: Snapshot) -> bool:
    return (
        before is not None and before.uidvalidity == seen.uidvalidity and given_anew(before.uidnext, seen.uidnext)
    )


def _all_void(memory: Memory) -> Recognised:
    promised, hidden = frozenset(memory.promised), frozenset(memory.hidden)
    revision = Revision(not_promised=promised, not_hidden=hidden, not_corrected=frozenset(memory.corrections))
    return Recognised(void=promised | hidden, revision=revision)


def _void(marks: Marks, there: Mapping[int, int]) -> set[int]:
    return {uid for uid, mark in marks.items() if mark.octets not in {None, there.get(uid, mark.octets)}}


def _lasting(
    marks: Marks, there: Mapping[int, int], void: Collection[int], long_ago: float, now: float
) -> dict[int, Mark]:
    """The marks that still count, and since when their messages are absent."""
    lasting = {}
    for uid, mark in marks.items():
        if uid in there:
            if uid not in void:
                lasting[uid] = replace(mark, absent_since=0.0) if mark.absent_since else mark
        elif not 0 < mark.absent_since <= now:  # missed for the first time, or the clock was set back
            lasting[uid] = replace(mark, absent_since=now)
        elif mark.absent_since > long_ago:
            lasting[uid] = mark
    return lasting


def _changed(before: Marks, after: Marks) -> Marks:
    return {uid: mark for uid, mark in after.items() if before.get(uid) is not mark}


@dataclass(frozen=True, slots=True)
class Intent:
    """What a QUIT is about to do: durable before the first change upstream."""

    uidvalidity: int
    promised: Marks = field(default_factory=dict)  # to be done upstream
    hidden: Marks = field(default_factory=dict)  # not shown any more, and left there
    after: Sighting | None = None  # how the mailbox will be: what our own deletions make smaller is not doubted


def intend(uids: Collection[int], on_delete: OnDelete, seen: Snapshot, before: Sighting) -> Intent:
    """To delete these, at the time of `before`. `seen` is the upstream's snapshot, with the upstream's sizes."""
    marks = {uid: Mark(octets, before.since) for uid, octets in seen.sizes_of(uids).items()}
    stays = on_delete in _STAYS
    return Intent(
        seen.uidvalidity,
        promised={} if on_delete is OnDelete.KEEP else marks,
        hidden=marks if stays else {},
        after=before if stays else replace(before, messages=before.messages - len(uids)),
    )
