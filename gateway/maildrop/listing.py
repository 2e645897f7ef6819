"""What is remembered of a mailbox between two logins, and what must be asked to know it again.

A listing has at least every message that exists, up to its last UID: UIDs only ascend (RFC 3501 section 2.3.1.1),
so what arrived later is above. We ask which UIDs there are in a few ranges. For these the answer is the truth, and
for the others the listing is, except that it may have too much: what others expunged. EXISTS tells: if there are
as many messages as the answer and the listing have together, then that is the mailbox, exactly.

Some servers break that promise, each in its way. One that lost its state, or got it back from a backup, gives UIDs
a second time, and it is the last ones that become other messages: so UIDNEXT must not go back, and the youngest
message that is still there must be the one that it was. One that shows only the newest 10,000 messages lets old
ones come back, and these are below all that it showed: so all below the first is asked for. For what nobody has
thought of, the mailbox is listed whole once a day.

The youngest is known by its INTERNALDATE rather than by its size: for the size of one message Dovecot reads the
names of all files of a Maildir, which takes longer than all else together.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.maildrop.snapshot import Snapshot, left_out, places

END = 0xFFFFFFFF  # the highest UID there can be; in a range, the `*`
Ranges = tuple[tuple[int, int], ...]  # of UIDs, both ends included
MOST_MESSAGES = 5_000_000  # in a mailbox: they take 60 MB of memory in each session

# Messages whose UIDs and sizes cost next to nothing to ask for: a mailbox with fewer is always listed whole, and a
# listing that lacks fewer is not written anew.
FEW = 32
BELIEVED_SECONDS = 86_400.0  # since the mailbox was listed whole
# UIDs whose sizes are asked for before we know whether they exist. Not `n:*`, which always has the last message in
# it, nor all that there can be: a simple server may count through them.
NEXT = 1000
DATE_OCTETS = 39  # of an INTERNALDATE; it has 26 (RFC 3501 section 9), but some servers write it in another way
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
class Question:
    """What to ask for together with SELECT, before anything is told."""

    there: Ranges  # which UIDs there are, and their dates
    sizes: Ranges


@dataclass(frozen=True, slots=True)
class Answer:
    """By UID: the INTERNALDATE, as it came, of all there are in `there`; and sizes in octets."""

    dates: Mapping[int, bytes] = field(default_factory=dict)
    sizes: Mapping[int, int] = field(default_factory=dict)


EVERYTHING = Question((), ((1, END),))


@dataclass(frozen=True, slots=True)
class Listing:
    """UIDs ascending, and the size in octets of each, index for index. The arrays are never written to."""

    uidvalidity: int
    uidnext: int
    uids: "array[int]"
    sizes: "array[int]"
    highestmodseq: int = 0
    looked: float = 0.0  # when the mailbox was listed whole, in seconds since the epoch
    date: bytes = b""  # the INTERNALDATE of the last one, as it came; b"": not known
    gone: Ranges = ()  # what we deleted: whether it is really gone only the server knows

    @classmethod
    def of(cls, snapshot: Snapshot, looked: float, date: bytes = b"") -> "Listing | None":
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
            date,
        )

    @property
    def left(self) -> int:
        """How many there are without those that are gone."""
        spans = ((bisect_left(self.uids, low), bisect_right(self.uids, high)) for low, high in self.gone)
        return len(self.uids) - sum(end - begin for begin, end in spans)

    def size_of(self, uid: int) -> int | None:
        """Octets; None if it is not remembered."""
        place = bisect_left(self.uids, uid)
        return self.sizes[place] if place < len(self.uids) and self.uids[place] == uid else None

    def less(self, deleted: Iterable[int]) -> "Listing":
        """When we have deleted these. What is marked so in too many places is not marked: that is no error."""
        marked = {*places(self.uids, deleted), *(i for low, high in self.gone for i in self.within(low, high))}
        gone = tuple((self.uids[first], self.uids[last]) for first, last in _runs(sorted(marked)))
        return replace(self, gone=gone) if len(gone) <= GONE_RANGES else self

    def is_news_to(self, known: "Listing | None") -> bool:
        """Whether it is worth being kept in the place of what is remembered."""
        if known is None or (self.date and not known.date):
            return True
        if (self.uidvalidity, self.looked, self.gone) != (known.uidvalidity, known.looked, known.gone):
            return True
        return not 0 <= len(self.uids) - len(known.uids) < FEW or self.uids[: len(known.uids)] != known.uids

    def question(self) -> Question:
        """UIDs up to the first one, from the last one on, and of what we deleted; and sizes of new ones."""
        if self.left < FEW:
            return EVERYTHING
        begin, end = 0, len(self.uids) - 1
        for low, high in self.gone:  # ascending
            if self.uids[begin] == low:
                begin = bisect_right(self.uids, high)
        for low, high in reversed(self.gone):
            if self.uids[end] == high:
                end = bisect_left(self.uids, low) - 1
        first, last = self.uids[begin], self.uids[end]
        between = (gone for gone in self.gone if first < gone[0] and gone[1] < last)
        is_dated = self.date and end == len(self.uids) - 1
        new = min(last + 1, END) if is_dated else last
        return Question(((1, first), *between, (last, END)), ((new, min(new + NEXT - 1, END)),))

    def within(self, low: int, high: int) -> range:
        """The indices of what is in a range of UIDs."""
        return range(bisect_left(self.uids, low), bisect_right(self.uids, high))


def question(known: Listing | None) -> Question:
    """What to ask for together with SELECT."""
    return EVERYTHING if known is None else known.question()


@dataclass(frozen=True, slots=True)
class Exact:
    """This is the mailbox."""

    listing: Listing


@dataclass(frozen=True, slots=True)
class Outdated:
    """Messages are gone and nobody knows which: all UIDs are needed, and then what is missing()."""


@dataclass(frozen=True, slots=True)
class Void:
    """It is not the mailbox that is remembered: everything is needed."""

    why: str


_BROKEN: tuple[tuple[Callable[[Listing, Selected], bool], str], ...] = (
    (lambda known, now: now.uidvalidity != known.uidvalidity, "UIDVALIDITY changed"),
    (lambda _, now: not now.uidnext, "UIDNEXT is not told any more"),
    (lambda known, now: now.uidnext < known.uidnext, "UIDNEXT went back"),
    (lambda known, now: 0 < now.highestmodseq < known.highestmodseq, "HIGHESTMODSEQ went back"),
)


def compare(known: Listing, now: Selected, answer: Answer) -> Exact | Outdated | Void:
    """What is remembered with what was told, when question(known) was asked."""
    for broken, words in _BROKEN:
        if broken(known, now):
            return Void(words)
    if changed := _changed(known, answer):
        return Void(changed)
    asked = (index for low, high in known.question().there for index in known.within(low, high))
    lost = [index for index in asked if known.uids[index] not in answer.dates]
    new = array("I", sorted(uid for uid in answer.dates if known.size_of(uid) is None))
    found = _updated(known, lost, new, answer)
    if found is None or len(found.uids) != now.exists or _unproven(known, answer, found.uids):
        return Outdated()
    return Exact(found)


def missing(known: Listing, answer: Answer, uids: Sequence[int]) -> list[int]:
    """Where these UIDs, ascending, are the mailbox: whose size is to be asked for. The youngest's is, as proof."""
    unknown = [uid for uid, index in _matched(known, uids) if index is None and uid not in answer.sizes]
    return sorted({*unknown, *_unproven(known, answer, uids)})


def settle(known: Listing, answer: Answer, uids: Iterable[int]) -> Exact | Void:
    """These UIDs are the mailbox's, ascending, and the missing() were asked for. Those without a size are gone."""
    changed = _changed(known, answer)
    return Void(changed) if changed else Exact(_filled(known, answer, uids))


def _changed(known: Listing, answer: Answer) -> str:
    """Which message is another one than it was."""
    for uid, size in answer.sizes.items():
        if known.size_of(uid) not in (None, size):
            return f"UID {uid} has another size"
    last = known.uids[-1]
    if known.date and answer.dates.get(last, known.date) != known.date:
        return f"UID {last} has another date"
    return ""


def _unproven(known: Listing, answer: Answer, uids: Sequence[int]) -> tuple[int, ...]:
    """The youngest of these, which ascend, that is remembered: if nothing shows that it is what it was."""
    end = bisect_right(uids, known.uids[-1])
    youngest = next((uid for uid in reversed(uids[:end]) if known.size_of(uid) is not None), None)
    is_dated = youngest == known.uids[-1] and known.date and youngest in answer.dates
    return () if youngest is None or is_dated or youngest in answer.sizes else (youngest,)


def _updated(known: Listing, lost: Sequence[int], new: "array[int]", answer: Answer) -> Listing | None:
    """Without the lost, by index, with the new behind them; None if a size is missing, or an old one came back."""
    if any(uid not in answer.sizes or uid < known.uids[-1] for uid in new):
        return None
    if not lost and not new:
        return replace(known, date=answer.dates.get(known.uids[-1], b""), gone=())
    uids = left_out(known.uids, lost) + new
    sizes = left_out(known.sizes, lost) + array("Q", map(answer.sizes.__getitem__, new))
    return replace(known, uids=uids, sizes=sizes, date=answer.dates.get(uids[-1], b"") if uids else b"", gone=())


def _filled(known: Listing, answer: Answer, uids: Iterable[int]) -> Listing:
    """These UIDs, ascending, with the sizes that are remembered or were told."""
    kept, sizes = array("I"), array("Q")
    for uid, index in _matched(known, uids):
        size = answer.sizes.get(uid) if index is None else known.sizes[index]
        if size is not None:
            kept.append(uid)
            sizes.append(size)
    return replace(known, uids=kept, sizes=sizes, date=answer.dates.get(kept[-1], b"") if kept else b"", gone=())


def _matched(known: Listing, uids: Iterable[int]) -> Iterator[tuple[int, int | None]]:
    """Each of these UIDs, which ascend, and its index among what is remembered."""
    index, end = 0, len(known.uids)
    for uid in uids:
        if index == end or known.uids[index] != uid:
            index = bisect_left(known.uids, uid, index)
        if index < end and known.uids[index] == uid:
            yield uid, index
            index += 1
        else:
            yield uid, None


def _runs(indices: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last of each run without a gap."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        begin = runs.pop()[0] if runs and runs[-1][1] == index - 1 else index
        runs.append((begin, index))
    return runs
