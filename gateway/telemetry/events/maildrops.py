"""Maildrops: what is promised, remembered and doubted."""

from dataclasses import dataclass

from gateway.telemetry.events.event import Event


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
