"""What happens, as typed values: the log, and later metrics, are made from these.

A field's name is its name in the log. None of them ever holds a secret.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Event:
    """`name` and `level` are the class's; the fields are the line's."""

    name: ClassVar[str]
    level: ClassVar[str] = "info"


@dataclass(frozen=True, slots=True)
class GatewayStarted(Event):
    name = "gateway started"
    version: str
    upstream: str


@dataclass(frozen=True, slots=True)
class Listening(Event):
    name = "listening"
    url: str


@dataclass(frozen=True, slots=True)
class WorkerStarted(Event):
    """One of several processes: the lines that it causes bear its number."""

    name = "worker started"
    pid: int


@dataclass(frozen=True, slots=True)
class WorkerDied(Event):
    """Nobody told it to. Another takes its place, after a while where it did not live for long."""

    name = "worker died"
    level = "error"
    worker: int
    pid: int
    how: str
    lived_seconds: float
    again_in_seconds: float


@dataclass(frozen=True, slots=True)
class CertificateMade(Event):
    """Clients will warn: nobody has signed it."""

    name = "no certificate configured: made a self-signed one"
    level = "warning"
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CertificateReloaded(Event):
    name = "certificate reloaded"
    path: str


@dataclass(frozen=True, slots=True)
class CertificateUnusable(Event):
    name = "the new certificate cannot be used: the old one stays"
    level = "error"
    path: str
    error: str


@dataclass(frozen=True, slots=True)
class CertificateEnds(Event):
    """Told at the start, and every day from two weeks before."""

    name = "the certificate ends soon: renew it"
    level = "warning"
    path: str
    until: str


@dataclass(frozen=True, slots=True)
class CertificateEnded(CertificateEnds):
    name = "the certificate has ended: clients refuse it until it is renewed"
    level = "error"


@dataclass(frozen=True, slots=True)
class Stopping(Event):
    name = "gateway stopping"
    sessions: int
    seconds_at_most: float


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    name = "gateway stopped"


@dataclass(frozen=True, slots=True)
class ConnectionRefused(Event):
    """A limit kept a client out."""

    name = "connection refused"
    level = "warning"
    address: str
    why: str


@dataclass(frozen=True, slots=True)
class AcceptFailed(Event):
    """The system could not hand over a connection: usually it is out of file descriptors."""

    name = "connections cannot be accepted now"
    level = "error"
    listener: str
    error: str


@dataclass(frozen=True, slots=True)
class ConnectionOpened(Event):
    name = "connection opened"
    level = "debug"
    address: str
    listener: str


@dataclass(frozen=True, slots=True)
class LoggedIn(Event):
    name = "logged in"
    user: str
    address: str
    tls: bool
    messages: int
    octets: int


@dataclass(frozen=True, slots=True)
class LoginFailed(Event):
    name = "login failed"
    level = "warning"
    user: str
    address: str
    code: str
    error: str


@dataclass(frozen=True, slots=True)
class LoginFailedHere(LoginFailed):
    """The gateway itself cannot: nobody logs in until its operator sees to it."""

    name = "login failed here, not at the mail server"
    level = "error"


@dataclass(frozen=True, slots=True)
class CommandFailed(Event):
    """After login: the upstream or the maildrop could not do what the client asked."""

    name = "command failed"
    level = "warning"
    user: str
    command: str
    error: str


@dataclass(frozen=True, slots=True)
class DeletionDeferred(Event):
    """Promised, not yet done upstream: those messages are not shown, and the next session's end tries again."""

    name = "deletion deferred"
    level = "warning"
    user: str
    messages: int
    error: str


@dataclass(frozen=True, slots=True)
class StateReplaced(Event):
    name = "the state file was removed or replaced: what it knew is lost, begun anew"
    level = "error"
    file: str


@dataclass(frozen=True, slots=True)
class MemoryVoid(Event):
    """Under the same UIDVALIDITY these UIDs are other messages now: those are shown, and not touched."""

    name = "promised or hidden messages forgotten: their UIDs are other messages now"
    level = "warning"
    user: str
    messages: int


@dataclass(frozen=True, slots=True)
class PromisesKept(Event):
    name = "deferred deletions carried out"
    user: str
    messages: int


@dataclass(frozen=True, slots=True)
class SnapshotDoubted(Event):
    name = "mailbox not shown: it looks damaged (maildrop.guard)"
    level = "warning"
    user: str
    why: str
    seconds_left: int  # then it is shown, if it still looks so


@dataclass(frozen=True, slots=True)
class SnapshotBelieved(Event):
    """It is whole again, or has looked so for as long as maildrop.guard wants."""

    name = "mailbox shown again"
    user: str
    messages: int


@dataclass(frozen=True, slots=True)
class ListingVoid(Event):
    """The mailbox was listed whole, because it is not the one that was remembered."""

    name = "remembered listing dropped"
    user: str
    why: str


@dataclass(frozen=True, slots=True)
class ListingNotKept(Event):
    """Nothing is lost by it but time: the next login lists the whole mailbox."""

    name = "listing not kept"
    level = "warning"
    user: str
    error: str


@dataclass(frozen=True, slots=True)
class UpstreamReconnected(Event):
    """The next line tells whether the new connection could be had: a failed command, or nothing."""

    name = "upstream connection lost: trying another"
    user: str
    error: str


@dataclass(frozen=True, slots=True)
class ReadAheadFailed(Event):
    """No client waited for it: what is really wrong shows when one does."""

    name = "read-ahead failed"
    level = "debug"
    user: str
    error: str


@dataclass(frozen=True, slots=True)
class WarmConnectionLost(Event):
    """Kept from an earlier session, and of no use any more: the login goes on with a new one."""

    name = "warm upstream connection lost: logging in anew"
    level = "debug"
    user: str
    error: str


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """The summary: one a session, always.

    `deletions` are those that were promised; what of them is still to be carried out has had a line of its own.
    """

    name = "session ended"
    user: str
    address: str
    how: str
    retrieved: int
    retrieved_octets: int
    tops: int
    deletions: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StrangerLeft(SessionEnded):
    """A connection that never tried to log in: a health check, a port scan."""

    name = "connection ended without a login"
    level = "debug"


@dataclass(frozen=True, slots=True)
class LimitLowered(Event):
    name = "fewer connections than configured: the system allows too few open files"
    level = "warning"
    configured: int
    possible: int
    warm_configured: int
    warm_possible: int


@dataclass(frozen=True, slots=True)
class Crashed(Event):
    """A bug: an exception nobody expected. The session it met is ended, the others go on."""

    name = "internal error"
    level = "error"
    error: str
    traceback: str
