"""What is remembered of a mailbox between two logins, and what must be asked to know it again.

A listing has at least every message that exists, up to its last UID: UIDs only ascend (RFC 3501 section 2.3.1.1),
so what arrived later is above. A few UIDs are asked for. For these the answer is the truth, and for the others the
listing is, except that it may have too much: what others expunged. EXISTS tells: if there are as many messages as
the answer and the listing have together, then that is the mailbox, exactly.

Some servers break that promise, each in its way. One that lost its state, or got it back from a backup, gives UIDs
a second time, and it is the last ones that become other messages: so UIDNEXT must not go back, and the youngest
message that is still there must have the size that it had. One that shows only the newest 10,000 messages lets old
ones come back, and these are below all that it showed. So the last few, and all below the first, are asked for.
For what nobody has thought of, the mailbox is listed whole once a day.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.maildrop.snapshot import Snapshot, left_out, places

END = 0xFFFFFFFF  # the highest UID there can be; in a range, the `*`
Ranges = tuple[tuple[int, int], ...]  # of UIDs, both ends included
EVERYTHING: Ranges = ((1, END),)
MOST_MESSAGES = 5_000_000  # in a mailbox: they take 60 MB of memory in each session

# Messages whose UIDs and sizes cost next to nothing to ask for: a mailbox with fewer is always listed whole, and a
# listing that lacks fewer is not written anew.
FEW = 32
BELIEVED_SECONDS = 86_400.0  # since the mailbox was listed whole
LAST = 4  # messages at the end of a listing that are asked for again: others may have expunged some of them
GONE_RANGES = 100  # in a command: it stays well below the 8,192 octets that RFC 7162 section 4 promises


@dataclass(frozen=True, slots=True)
class Selected:
    """What SELECT told."""

    uidvalidity: int
    exists: int
    read_only: bool = False
    uidnext: int = 0  # 0: not told
    highestmodseq: int = 0  # 0: not told


@dataclass(frozen=True, slots=True)
class Listing:
    """UIDs ascending, and the size in octets of each, index for index. The arrays are never written to."""

    uidvalidity: int
    uidnext: int
    uids: "array[int]"
    sizes: "array[int]"
    highestmodseq: int = 0
    looked: float = 0.0  # when the mailbox was listed whole, in seconds since the epoch
    gone: Ranges = ()  # what we deleted: not in `uids`, but asked for, because only the server knows

    @classmethod
    def of(cls, snapshot: Snapshot, looked: float) -> "Listing | None":
        """None where UIDNEXT was not told: nothing would show that UIDs are given anew."""
        if not snapshot.uidnext:
            return None
        beyond = snapshot.uids[-1] + 1 if snapshot.uids else 1  # it may have arrived after SELECT
        return cls(
            snapshot.uidvalidity,
            max(snapshot.uidnext, beyond),
            snapshot.uids,
            snapshot.sizes,
            snapshot.highestmodseq,
            looked,
        )

    def size_of(self, uid: int) -> int | None:
        """Octets; None if it is not remembered."""
        place = bisect_left(self.uids, uid)
        return self.sizes[place] if place < len(self.uids) and self.uids[place] == uid else None

    def less(self, deleted: Iterable[int]) -> "Listing":
        """When we have deleted these. Whether they are really gone is asked at the next look."""
        indices = places(self.uids, deleted)
        gone = self.gone + tuple((self.uids[first], self.uids[last]) for first, last in _runs(indices))
        if len(gone) > GONE_RANGES:
            return self  # to have too much is no error
        return replace(self, uids=left_out(self.uids, indices), sizes=left_out(self.sizes, indices), gone=gone)

    def is_news_to(self, known: "Listing | None") -> bool:
        """Whether it is worth being kept in the place of what is remembered."""
        if known is None or known.gone or (known.uidvalidity, known.looked) != (self.uidvalidity, self.looked):
            return True
        return not 0 <= len(self) - len(known) < FEW or self.uids[: len(known)] != known.uids

    def __len__(self) -> int:
        return len(self.uids)


@dataclass(frozen=True, slots=True)
class Exact:
    """This is the mailbox."""

    listing: Listing


@dataclass(frozen=True, slots=True)
class Outdated:
    """Messages are gone, and nobody knows which: what is needed is all UIDs, and then the sizes of missing()."""


@dataclass(frozen=True, slots=True)
class Void:
    """It is not the mailbox that is remembered: what is needed is everything."""

    why: str


def question(known: Listing | None) -> Ranges:
    """The UIDs to ask for together with SELECT, before anything is told."""
    if known is None or len(known) < FEW:
        return EVERYTHING
    first, last = known.uids[0], known.uids[-LAST]
    between = (gone for gone in known.gone if first < gone[1] and gone[0] < last)
    return ((1, first), *sorted(between), (last, END))


_BROKEN: tuple[tuple[Callable[[Listing, Selected], bool], str], ...] = (
    (lambda known, now: now.uidvalidity != known.uidvalidity, "UIDVALIDITY changed"),
    (lambda _, now: not now.uidnext, "UIDNEXT is not told any more"),
    (lambda known, now: now.uidnext < known.uidnext, "UIDNEXT went back"),
    (lambda known, now: 0 < now.highestmodseq < known.highestmodseq, "HIGHESTMODSEQ went back"),
)


def compare(known: Listing, now: Selected, rows: Mapping[int, int]) -> Exact | Outdated | Void:
    """What is remembered with what was told. `rows`: size by UID, all there are of question(known)."""
    for broken, words in _BROKEN:
        if broken(known, now):
            return Void(words)
    if changed := _changed(known, rows):
        return Void(changed)
    listing = _completed(known, rows)
    proof = _youngest(known, listing.uids)
    proven = proof is None or proof in rows
    return Exact(listing) if proven and len(listing) == now.exists else Outdated()


def missing(known: Listing, rows: Mapping[int, int], uids: Sequence[int]) -> list[int]:
    """Where these UIDs, ascending, are the mailbox: whose size is to be asked for. The youngest's is, as proof."""
    unknown = [uid for uid in uids if uid not in rows and known.size_of(uid) is None]
    proof = _youngest(known, uids)
    return unknown if proof is None or proof in rows else sorted([*unknown, proof])


def settle(known: Listing, rows: Mapping[int, int], uids: Iterable[int]) -> Exact | Void:
    """These UIDs are the mailbox's, ascending, and the missing() were asked for. Those without a size are gone."""
    changed = _changed(known, rows)
    return Void(changed) if changed else Exact(_filled(known, rows, uids))


def _changed(known: Listing, rows: Mapping[int, int]) -> str:
    for uid, size in rows.items():
        if known.size_of(uid) not in (None, size):
            return f"UID {uid} has another size"
    return ""


def _completed(known: Listing, rows: Mapping[int, int]) -> Listing:
    """The answer, and of what was not asked for all that is remembered."""
    lost = [index for index in _asked(known) if known.uids[index] not in rows]
    new = array("I", sorted(uid for uid in rows if known.size_of(uid) is None))
    if new and known.uids and new[0] < known.uids[-1]:
        return _filled(known, rows, sorted([*left_out(known.uids, lost), *new]))
    if not lost and not new:
        return replace(known, gone=())
    sizes = array("Q", map(rows.__getitem__, new))
    return replace(
        known, uids=left_out(known.uids, lost) + new, sizes=left_out(known.sizes, lost) + sizes, gone=()
    )


def _filled(known: Listing, rows: Mapping[int, int], uids: Iterable[int]) -> Listing:
    """These UIDs, ascending, with the sizes that were told or are remembered."""
    sizes = {**dict(zip(known.uids, known.sizes, strict=True)), **rows}
    kept = array("I", (uid for uid in uids if uid in sizes))
    return replace(known, uids=kept, sizes=array("Q", map(sizes.__getitem__, kept)), gone=())


def _asked(known: Listing) -> Iterator[int]:
    """The indices, ascending, of what question() asks for among what is remembered."""
    for low, high in question(known):
        yield from range(bisect_left(known.uids, low), bisect_right(known.uids, high))


def _youngest(known: Listing, uids: Sequence[int]) -> int | None:
    """The highest of these UIDs, which ascend, that is remembered."""
    end = bisect_right(uids, known.uids[-1]) if known.uids else 0
    return next((uid for uid in reversed(uids[:end]) if known.size_of(uid) is not None), None)


def _runs(indices: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last of each run without a gap."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        begin = runs.pop()[0] if runs and runs[-1][1] == index - 1 else index
        runs.append((begin, index))
    return runs
