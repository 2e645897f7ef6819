"""One session's view of the snapshot: numbers, deletion marks, and what was retrieved (RFC 1939 section 5)."""

from collections.abc import Sequence

from gateway.errors import Refused
from gateway.maildrop.plan import CommitPlan, messages
from gateway.maildrop.snapshot import Snapshot, left_out, unique_id


class Maildrop:
    """Numbers never shift: a deleted message keeps its number, and only STAT, LIST and UIDL leave it out."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._numbers = range(1, len(snapshot) + 1)
        self._deleted: set[int] = set()
        self._deleted_octets = 0
        self._retrieved: set[int] = set()
        self._highest = 0

    @property
    def count(self) -> int:
        return len(self.snapshot) - len(self._deleted)

    @property
    def octets(self) -> int:
        return self.snapshot.octets - self._deleted_octets

    @property
    def deleted(self) -> int:
        return len(self._deleted)

    @property
    def description(self) -> str:
        """For people, as RFC 1939's examples have it."""
        return f"maildrop has {messages(self.count)} ({self.octets} octets)"

    @property
    def last(self) -> int:
        """The highest number accessed so far, for LAST (RFC 1460); RSET sets it back."""
        return self._highest

    def has(self, number: int) -> bool:
        """Whether there is such a message, not marked as deleted."""
        return number in self._numbers and number not in self._deleted

    def find(self, number: int) -> tuple[int, int]:
        """(UID, octets) of a message."""
        index = self._index(number)
        return self.snapshot.uids[index], self.snapshot.sizes[index]

    def size(self, number: int) -> int:
        """Octets of a message."""
        return self.snapshot.sizes[self._index(number)]

    def uid(self, number: int) -> int:
        return self.snapshot.uids[self._index(number)]

    def unique_id(self, number: int) -> str:
        return unique_id(self.snapshot.uidvalidity, self.uid(number))

    def left(self) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """Numbers, UIDs and octets of what is not deleted, ascending, index for index."""
        snapshot, deleted = self.snapshot, self._deleted
        if not deleted:
            return self._numbers, snapshot.uids, snapshot.sizes
        indices = sorted(number - 1 for number in deleted)
        numbers = [number for number in self._numbers if number not in deleted]
        return numbers, left_out(snapshot.uids, indices), left_out(snapshot.sizes, indices)

    def delete(self, number: int) -> None:
        """Mark it: nothing happens to the mailbox before QUIT."""
        size = self.size(number)
        if self.snapshot.read_only:
            raise Refused(text="this mailbox is read-only, so nothing can be deleted")
        self._deleted.add(number)
        self._deleted_octets += size
        self._highest = max(self._highest, number)

    def retrieve(self, number: int) -> None:
        """Note that the client has it, whole: a message that find() found."""
        self._retrieved.add(number)
        self._highest = max(self._highest, number)

    def reset(self) -> None:
        """RSET: unmark all. What was retrieved stays retrieved."""
        self._deleted.clear()
        self._deleted_octets = 0
        self._highest = 0

    def plan(self) -> CommitPlan:
        """The plan for QUIT. Any other end of a session makes no plan, so nothing is deleted."""
        uids = self.snapshot.uids
        return CommitPlan(
            self.snapshot.uidvalidity,
            delete=tuple(uids[number - 1] for number in sorted(self._deleted)),
            retrieved=tuple(uids[number - 1] for number in sorted(self._retrieved - self._deleted)),
        )

    def _index(self, number: int) -> int:
        if number not in self._numbers:
            raise Refused(text=f"no message {number}; {self._range()}")
        if number in self._deleted:
            raise Refused(text=f"message {number} is marked as deleted")
        return number - 1

    def _range(self) -> str:
        count = len(self.snapshot)
        return f"this maildrop has 1 to {count}" if count else "this maildrop is empty"
