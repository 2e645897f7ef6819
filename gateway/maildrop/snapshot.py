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
    return f"{uidvalidity:08x}{uid:08x}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """UIDs ascending, and the size in octets of each, index for index."""

    uidvalidity: int
    uids: "array[int]"
    sizes: "array[int]"
    read_only: bool = False
    uidnext: int = 0  # 0: the upstream did not tell
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
        if uids.isdisjoint(self.uids):
            return self
        kept = [index for index, uid in enumerate(self.uids) if uid not in uids]
        return replace(
            self,
            uids=array("I", map(self.uids.__getitem__, kept)),
            sizes=array("Q", map(self.sizes.__getitem__, kept)),
        )

    def corrected(self, sizes: Mapping[int, int]) -> "Snapshot":
        """With the octets that are known better than the upstream tells, by UID."""
        if sizes.keys().isdisjoint(self.uids):
            return self
        known = array("Q", (sizes.get(uid, size) for uid, size in zip(self.uids, self.sizes, strict=True)))
        return replace(self, sizes=known)

    def size_of(self, uid: int) -> int:
        """Of a UID that is in it."""
        return self.sizes[bisect_left(self.uids, uid)]

    def __len__(self) -> int:
        return len(self.uids)
