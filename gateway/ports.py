"""What a session asks of the rooms around it, and the frozen values that cross between them.

`accounts`, `imap` and `store` implement these Protocols without importing `session`; only `app` knows which
class stands behind which Protocol.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from gateway.maildrop import CommitPlan, Correction, Intent, Listing, Memory, Policy, Revision, Sighting, Snapshot
from gateway.sasl import Credentials


class TlsMode(Enum):
    """How a connection to an upstream is protected."""

    IMPLICIT = "imaps"
    STARTTLS = "starttls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IMAP server."""

    host: str
    port: int
    tls: TlsMode
    ca_file: Path | None = None  # trusted instead of the system's authorities

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose mailbox a login opens, where it is, and with what."""

    endpoint: Endpoint
    credentials: Credentials
    folder: str
    policy: Policy

    @property
    def maildrop_key(self) -> str:
        """The same for two logins to one maildrop: what the exclusive-access lock is taken on."""
        return "\0".join((self.endpoint.host, str(self.endpoint.port), self.credentials.user, self.folder))


@dataclass(frozen=True, slots=True)
class Peer:
    """The client's end of a connection."""

    address: str
    is_loopback: bool = field(default=False)


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


class Accounts(Protocol):
    async def resolve(self, credentials: Credentials) -> Account:
        """Which account these credentials open. Raises BadCredentials, or UpstreamError where a look-up failed."""


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
        """The login succeeded: from now on the time counts."""


class LockMode(Enum):
    """What a second session meets."""

    EXCLUSIVE = "exclusive"  # [IN-USE]
    TAKEOVER = "takeover"  # the first one is ended
    SHARED = "shared"  # nothing: both work


class MaildropLock(Protocol):
    def acquire(self) -> None:
        """From any thread. Raises MaildropInUse."""

    def release(self) -> None:
        """Idempotent."""

    @property
    def is_wanted(self) -> bool:
        """Whether another session asks its holder to end."""


class Locks(Protocol):
    def lock(self, maildrop_key: str) -> MaildropLock:
        """The exclusive-access lock of RFC 1939 section 4, not yet acquired."""


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms behind a session."""

    accounts: Accounts
    mailboxes: Mailboxes
    locks: Locks
    login_delay: LoginDelay


@dataclass(frozen=True, slots=True)
class Terms:
    """What this connection may do, and how failed logins are met."""

    tls_available: bool  # STLS can be had
    allow_plaintext: bool  # a password in clear may cross this connection
    login_attempts: int  # failed ones, then the connection is closed
    failure_delay: float  # seconds before the first -ERR, doubled with each further one
