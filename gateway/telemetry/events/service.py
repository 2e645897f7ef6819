"""The gateway itself: its start and end, its workers, certificates and limits."""

from dataclasses import dataclass

from gateway.telemetry.events.event import Event


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
class OldTlsAllowed(Event):
    """RFC 8996: whoever is on the way may read passwords and mail."""

    name = "old TLS is allowed here, which others may be able to read"
    level = "warning"
    listener: str
    min_version: str


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
class AccountsUnusable(Event):
    """Told at the start, before the first of them logs in."""

    name = "the accounts cannot be used: nobody who has one can log in"
    level = "error"
    error: str


@dataclass(frozen=True, slots=True)
class Stopping(Event):
    name = "gateway stopping"
    sessions: int
    seconds_at_most: float


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    name = "gateway stopped"


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
