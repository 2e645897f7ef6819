"""An open mailbox upstream, and what opens one."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from gateway.maildrop import CommitPlan, Snapshot
from gateway.ports.accounts import Account


class Body(Protocol):
    """A message on its way: octets as the upstream has them, in blocks of at most 256 KiB."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None:
        """Take no more of it. Without this, or the end of the iteration, the connection is not used again."""


def forget_copied(uids: Sequence[int]) -> None:
    """For a commit() whose caller will not try again."""


class Mailbox(Protocol):
    """An open mailbox upstream. Every method raises UpstreamError or a subclass of Refused, nothing else."""

    snapshot: Snapshot

    async def open_body(self, uid: int, octets: int | None = None) -> Body:
        """The message, or its first `octets`. Returns when the body is known to come; raises MessageGone."""

    def at_hand(self, uid: int, octets: int | None = None) -> bytes | None:
        """What open_body would give, whole, where that needs no wait: it was read ahead. Once only."""

    def peek(self, uid: int) -> bytes | None:
        """What at_hand would give, which may be asked for it still. Nothing follows from it."""

    def learn(self, uid: int, octets: int) -> None:
        """The message has so many octets, whatever the snapshot says."""

    async def commit(self, plan: CommitPlan, on_copied: Callable[[Sequence[int]], None] = forget_copied) -> bool:
        """Apply what QUIT asks. True: it is done. False: it goes on in close(), or cannot be seen to be done.

        On an exception some of it may not be done. `on_copied` is told, in a worker thread, the UIDs that need no
        second copy when the rest is tried again: moving takes several steps where the server has no MOVE.
        """

    def hurry(self) -> None:
        """Somebody waits for close(): what goes on after QUIT's reply is left for a later session."""

    async def close(self) -> None: ...


class Mailboxes(Protocol):
    async def open(self, account: Account, admit: Callable[[], None]) -> Mailbox:
        """Log in, call `admit`, select and list. `admit` runs in a worker thread, once the upstream has
        accepted the credentials and before the listing; what it raises ends the login.
        """


def believe(snapshot: Snapshot) -> None:
    """For who takes a mailbox as it is."""


class Upstream(Protocol):
    async def open(
        self, account: Account, admit: Callable[[], None], examine: Callable[[Snapshot], None] = believe
    ) -> Mailbox:
        """As Mailboxes.open; `examine` gets what was listed, in the same thread, and may end the login, too."""
