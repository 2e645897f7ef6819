"""Connections to mail servers."""

from dataclasses import dataclass

from gateway.telemetry.events.event import Event


@dataclass(frozen=True, slots=True)
class UpstreamOffers(Event):
    """What it was found to take at the start."""

    name = "upstream offers"
    level = "debug"
    upstream: str
    mechanisms: str  # of SASL


@dataclass(frozen=True, slots=True)
class UpstreamNotFound(Event):
    """At the start. Logins try it anew, each of them."""

    name = "upstream cannot be reached now"
    level = "warning"
    upstream: str
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
