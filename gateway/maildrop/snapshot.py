"""The mailbox as it was at login, frozen.

Message number n (from 1) is the n-th entry by ascending UID. Numbers live in arrays: twelve octets a message,
so 100,000 messages cost about a megabyte.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace


def unique_id(uidvalidity: int, uid: int) -> str:
    """The RFC 1939 unique-id: UIDVALIDITY and UID, each 8 hexadecimal digits.

    Both are 32-bit (RFC 3501 section 2.3.1.1), so 16 characters always. Fixed width, no punctuation: Outlook
    2003 had trouble with `uidvalidity.uid`.
    """
    return unique_ids(uidvalidity) % uid


def unique_ids(uidvalidity: int) -> str:
    """A template that makes the unique-id of a UID: thousands are made at once."""
    return f"{uidvalidity:08x}%08x"


def given_anew(before: int, now: int) -> bool:
    """From two UIDNEXTs under one UIDVALIDITY, an earlier and a later one; 0: not told.

    UIDNEXT never shrinks (RFC 3501 section 2.3.1.1): where it has, all UIDs may be other messages.
    """
    return 0 < now < before


def places(uids: "array[int]", wanted: Iterable[int]) -> list[int]:
    """The indices, ascending, of those that are in `uids`, which ascends. Costs by what is wanted."""
    found = ((bisect_left(uids, uid), uid) for uid in set(wanted))
    return sorted(place for place, uid in found if place < len(uids) and uids[place] == uid)


def left_out(column: "array[int]", indices: Iterable[int]) -> "array[int]":
    """A copy without the entries at these ascending indices."""
    kept = array(column.typecode)
    begin = 0
    for index in indices:
        kept += column[begin:index]
        begin = index + 1
    return kept + column[begin:]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """UIDs ascending, and the size in octets of each, index for index. The arrays are never written to."""

    uidvalidity: int
    uids: "array[int]"
    sizes: "array[int]"
    read_only: bool = False
    uidnext: int = 0  # as told at SELECT; 0: not told. One that went back means that UIDs are given anew
    highestmodseq: int = 0  # RFC 7162 section 3.1.2.1; 0: not told
    octets: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "octets", sum(self.sizes))

    @classmethod
    def of(
        cls, uidvalidity: int, rows: Iterable[tuple[int, int]], *, read_only: bool = False, uidnext: int = 0
    ) -> "Snapshot":
        """From (uid, size) rows in any order; a UID listed twice counts once, with its last size."""
        sizes = dict(rows)
        uids = sorted(sizes)
        return cls(uidvalidity, array("I", uids), array("Q", map(sizes.__getitem__, uids)), read_only, uidnext)

    def without(self, uids: AbstractSet[int]) -> "Snapshot":
        """As if these had never been there."""
        indices = places(self.uids, uids)
        if not indices:
            return self
        return replace(self, uids=left_out(self.uids, indices), sizes=left_out(self.sizes, indices))

    def corrected(self, sizes: Mapping[int, int]) -> "Snapshot":
        """With the octets that are known better than the upstream tells, by UID."""
        indices = places(self.uids, sizes)
        if not indices:
            return self
        known = self.sizes[:]
        for index in indices:
            known[index] = sizes[self.uids[index]]
        return replace(self, sizes=known)

    def sizes_of(self, uids: Iterable[int]) -> dict[int, int]:
        """Octets by UID, of those that are in it."""
        return {self.uids[index]: self.sizes[index] for index in places(self.uids, uids)}

    def size_of(self, uid: int) -> int:
        """Of a UID that is in it."""
        return self.sizes[bisect_left(self.uids, uid)]

    def __len__(self) -> int:
        return len(self.uids)
