"""What is known of a maildrop from earlier sessions, and whether what we see now can be believed."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sighting:
    """How the mailbox looked. `since` is when it was first seen so, in seconds since the epoch."""

    uidvalidity: int
    messages: int
    since: float


@dataclass(frozen=True, slots=True)
class Memory:
    """UIDs and sizes are those of the UIDVALIDITY that was asked for."""

    promised: frozenset[int] = frozenset()  # to be deleted: +OK was said, the upstream has not done it yet
    hidden: frozenset[int] = frozenset()  # deleted for this client, kept in the mailbox
    sizes: Mapping[int, int] = field(default_factory=dict)  # octets as really sent, where the upstream errs
    accepted: Sighting | None = None  # the last one that was shown to a client
    doubted: Sighting | None = None  # the first one that was not, since then
    promised_octets: Mapping[int, int] = field(default_factory=dict)  # the upstream's sizes of what is promised


@dataclass(frozen=True, slots=True)
class Caution:
    """When a mailbox that has become smaller is not shown, and when it is all the same."""

    missing_share: float = 0.5  # more than this part of the messages
    missing_least: int = 20  # and at least so many
    confirm_after: float = 300.0  # seconds that it must have looked so; 0 believes everything


def doubt(memory: Memory, now: Sighting, caution: Caution) -> str:
    """Why this sighting is not to be shown yet; "" when it is.

    A client that is shown an empty or renumbered maildrop forgets what it has seen, and later fetches everything
    again. A restored server, a wrong mount or a failing index look just so, and pass.
    """
    reason = _odd(memory.accepted, now, caution)
    if not reason:
        return ""
    doubted = memory.doubted
    persists = doubted is not None and not _odd(doubted, now, caution)
    if persists and doubted is not None and now.since - doubted.since >= caution.confirm_after:
        return ""
    return reason if caution.confirm_after else ""


def _odd(before: Sighting | None, now: Sighting, caution: Caution) -> str:
    if before is None or not before.messages:
        return ""
    if now.uidvalidity != before.uidvalidity:
        return f"UIDVALIDITY changed from {before.uidvalidity} to {now.uidvalidity}"
    missing = before.messages - now.messages
    if missing >= caution.missing_least and missing > caution.missing_share * before.messages:
        return f"{missing} of {before.messages} messages are missing"
    return ""
