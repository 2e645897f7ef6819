"""Clients: their connections, their logins, their sessions."""

from dataclasses import dataclass

from gateway.telemetry.events.event import Event


@dataclass(frozen=True, slots=True)
class ConnectionRefused(Event):
    """A limit kept a client out."""

    name = "connection refused"
    level = "warning"
    address: str
    why: str


@dataclass(frozen=True, slots=True)
class ProxyLeft(Event):
    """A health check of a proxy: nobody had come through it."""

    name = "a proxy left before it said for whom it came"
    level = "debug"
    address: str
    how: str


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
class HandshakeFailed(Event):
    """Of a device that is too old, or has been told nothing of our certificate; of a port scan, too."""

    name = "TLS handshake failed"
    address: str
    why: str


@dataclass(frozen=True, slots=True)
class LoggedIn(Event):
    name = "logged in"
    user: str
    address: str
    tls: str  # its version; "": none
    messages: int
    octets: int
    device: str = ""  # the app password, by its label or name


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
class AddressLockedOut(Event):
    """No password from there is looked at; an IPv6 address stands for its /64."""

    name = "address locked out: too many failed logins"
    level = "warning"
    address: str
    seconds: int


@dataclass(frozen=True, slots=True)
class AccountLockedOut(Event):
    """Its password is not looked at, from this place or from all where it is not known. `address` guessed last."""

    name = "account locked out: too many failed logins"
    level = "warning"
    user: str
    address: str
    where: str
    seconds: int


@dataclass(frozen=True, slots=True)
class GuessesNotCounted(Event):
    """Logins go on, and each connection's failed ones are slowed down still."""

    name = "failed logins cannot be counted"
    level = "error"
    error: str


@dataclass(frozen=True, slots=True)
class CommandFailed(Event):
    """After login: the upstream or the maildrop could not do what the client asked."""

    name = "command failed"
    level = "warning"
    user: str
    command: str
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
