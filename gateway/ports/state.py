"""What is remembered between sessions, and what keeps them apart."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Protocol

from gateway.maildrop import Correction, Intent, Listing, Memory, Revision, Sighting


class Ledger(Protocol):
    """What is remembered of a maildrop. Blocking; every method may raise StateError, and is durable on return."""

    def recall(self, maildrop: str, uidvalidity: int) -> Memory: ...

    def doubt(self, maildrop: str, sighting: Sighting) -> None:
        """How the mailbox looked when it was not shown."""

    def accept(self, maildrop: str, uidvalidity: int, sighting: Sighting | None, revision: Revision) -> None:
        """How the mailbox looked when it was shown (None: as at the last time), and what is now known better."""

    def intend(self, maildrop: str, intent: Intent) -> None:
        """All of it, or nothing. What another session has marked stays as that one has it."""

    def take_back(self, maildrop: str, intent: Intent) -> None:
        """As if it had never been meant."""

    def note_copied(self, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        """Of these promised ones there is a copy where they go."""

    def fulfil(self, maildrop: str, uidvalidity: int, uids: Iterable[int]) -> None:
        """These promises are kept."""

    def correct(self, maildrop: str, uidvalidity: int, corrections: Mapping[int, Correction]) -> None:
        """What these messages really have."""


class Listings(Protocol):
    """Mailboxes as they were at their last login. Blocking. What is lost is only asked for again."""

    def recall(self, maildrop_key: str) -> Listing | None:
        """None when nothing is known, or what there is cannot be trusted."""

    def keep(self, maildrop_key: str, listing: Listing) -> None:
        """In the place of what was kept before. Raises StateError."""

    def forget(self, maildrop_key: str) -> None:
        """Raises StateError."""


class LoginDelay(Protocol):
    seconds: int  # between two logins; 0: none

    def admit(self, maildrop_key: str) -> None:
        """From any thread, after the password was found right. Raises LoggedInTooRecently."""

    def logged_in(self, maildrop_key: str) -> None:
        """The login succeeded: from now on the time counts. Does not block."""


class Deadlines(Protocol):
    """What is to be remembered until when: a time for each key, in seconds since the epoch. Common to all who
    share the state, and bounded: where there are too many, the earliest go. Every method may raise StateError.
    """

    def at_hand(self, keys: Sequence[str]) -> Sequence[float] | None:
        """Of each key; 0.0 where nothing is known. Without a wait, and None where that takes one: ask recall()."""

    def recall(self, keys: Sequence[str]) -> Sequence[float]:
        """Blocking."""

    def revise(self, keys: Sequence[str], change: Callable[[Sequence[float]], Sequence[float]]) -> None:
        """Blocking. What `change` makes of them is kept; nobody else changes them meanwhile, and it may be called
        more than once.
        """


class LockMode(Enum):
    """What a second session meets."""

    EXCLUSIVE = "exclusive"  # [IN-USE]
    TAKEOVER = "takeover"  # the first one is ended
    SHARED = "shared"  # nothing: both work


class MaildropLock(Protocol):
    def acquire(self) -> None:
        """From any thread. Raises MaildropInUse."""

    def release(self) -> None:
        """Idempotent. Does not block."""

    @property
    def is_wanted(self) -> bool:
        """Whether another session asks its holder to end, or has the maildrop already. Does not block."""


class Locks(Protocol):
    def lock(self, maildrop_key: str) -> MaildropLock:
        """The exclusive-access lock of RFC 1939 section 4, not yet acquired."""
