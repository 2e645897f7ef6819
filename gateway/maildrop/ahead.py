"""Which messages to fetch before the client asks for them, and those that were fetched.

Clients retrieve in order. After the second consecutive RETR the next ones are worth a guess, each time twice as
many, so that the client's speed does not depend on the upstream's round trip; a client that jumps about gets no
guesses. The same for TOP, with the beginnings of messages.
"""

from bisect import bisect_left
from collections.abc import Mapping

from gateway.maildrop.snapshot import Snapshot

CONSECUTIVE = 2  # messages asked for in order, before the first guess
FIRST_WINDOW = 4  # messages of the first guess
FIRST_OCTETS = 65_536  # of it, for a client may wait for all of them; twice as many after each that was quick
MOST_MESSAGES = 1024  # of one guess: its command is still one line that every server takes
LARGEST_OCTETS = 262_144  # a message over this is streamed when it is asked for
SLACK = 16  # an octet in so many, and so many more: some servers' sizes are not quite those of the messages
# A window that takes longer is followed by half of it: a client may wait for one of its messages.
SLOW_SECONDS = 1.0
SESSION_OCTETS = 1_048_576  # held and on their way
PROCESS_OCTETS = 67_108_864  # of all sessions

Window = Mapping[int, int]  # UID, ascending → octets that are allowed for


class Allowance:
    """What all sessions of a process may hold together, in octets."""

    def __init__(self, octets: int = PROCESS_OCTETS) -> None:
        self._left = octets

    def take(self, octets: int) -> bool:
        if octets > self._left:
            return False
        self._left -= octets
        return True

    def give_back(self, octets: int) -> None:
        self._left += octets


class ReadAhead:
    """Of one session. `part` is what is asked of each message: None for all of it, or its first octets."""

    def __init__(self, snapshot: Snapshot, allowance: Allowance) -> None:
        self._snapshot = snapshot
        self._uids = snapshot.uids
        self._allowance = allowance
        self._expected: dict[int, int] = {}  # UID → octets that are allowed for, of what is held or on its way
        self._held: dict[int, bytes] = {}
        self.part: int | None = None
        self._run = 0  # how many were asked for in order
        self._next = 0  # the index that would go on with it
        self._ahead = 0  # the index behind the last one that was guessed
        self._window = 0  # messages of the last guess
        self._most_octets = FIRST_OCTETS  # of the next one

    def asked(self, uid: int, part: int | None) -> None:
        """The client wants this one."""
        index = bisect_left(self._uids, uid)
        if part != self.part or (index != self._next and uid not in self._expected):
            self.forget()
            self._run = 0
            self._ahead = index
        if uid not in self._expected:
            self._ahead = max(self._ahead, index)  # never back over what is held
        elif index > self._next:
            for passed in self._uids[self._next : index]:
                self._release(passed)
        self._run += 1
        self.part = part
        self._next = index + 1

    def take(self, uid: int, part: int | None) -> bytes | None:
        """The message, or its first octets, where they are held: handed out once."""
        if part != self.part:
            return None
        held = self._held.get(uid)
        if held is not None:
            self._release(uid)
        return held

    def holds(self, uid: int) -> bool:
        """Whether it has come."""
        return uid in self._held

    def peek(self, uid: int) -> bytes | None:
        """The whole message, where it is held."""
        return self._held.get(uid) if self.part is None else None

    def expects(self, uid: int) -> bool:
        """Whether it is held or on its way."""
        return uid in self._expected

    def is_next(self, uid: int) -> bool:
        """Whether the next window would begin with this one."""
        return self._ahead < len(self._uids) and self._uids[self._ahead] == uid

    def next_window(self) -> Window:
        """What to fetch now, with the part that was asked for last; nothing when there is no reason to."""
        if self._run < CONSECUTIVE or 2 * len(self._expected) > self._window:
            return {}
        size = min(max(2 * self._window, FIRST_WINDOW), MOST_MESSAGES)
        room = min(SESSION_OCTETS - sum(self._expected.values()), self._most_octets)
        begin = self._ahead
        while self._ahead < len(self._uids) and self._ahead - begin < size:
            octets = self._room_for(self._ahead)
            if octets > min(LARGEST_OCTETS, room) or not self._allowance.take(octets):
                break
            room -= octets
            self._expected[self._uids[self._ahead]] = octets
            self._ahead += 1
        self._window = self._ahead - begin
        return {uid: self._expected[uid] for uid in self._uids[begin : self._ahead]}

    def put(self, uid: int, octets: bytes) -> None:
        """A message of a window has come."""
        if uid in self._expected and len(octets) <= self._expected[uid]:
            self._held[uid] = octets

    def settle(self, window: Window, seconds: float, *, failed: bool = False) -> None:
        """No more of this window will come, which took so long. One that failed is begun again behind the first
        message that did not come: it may be that one, and then it is met when the client asks for it.
        """
        missing = [uid for uid in window if uid in self._expected and uid not in self._held]
        for uid in missing:
            self._release(uid)
        if failed and missing:
            self._window = 0
            self._ahead = bisect_left(self._uids, max([missing[0], *self._expected])) + 1
        elif seconds > SLOW_SECONDS:
            self._window = len(window) // 4
            self._most_octets = max(self._most_octets // 4, FIRST_OCTETS)
        else:
            self._most_octets = min(self._most_octets * 2, SESSION_OCTETS)

    def forget(self) -> None:
        """All guesses were wrong, or are no longer of use."""
        for uid in list(self._expected):
            self._release(uid)
        self._window = 0

    def _room_for(self, index: int) -> int:
        """How many octets a message, or its part, may have."""
        size = self._snapshot.sizes[index]
        octets = size if self.part is None else min(size, self.part)
        return octets + octets // SLACK + SLACK

    def _release(self, uid: int) -> None:
        self._held.pop(uid, None)
        self._allowance.give_back(self._expected.pop(uid, 0))
