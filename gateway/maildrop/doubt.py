"""Whether the mailbox that we see now can be believed.

A client that is shown an empty or renumbered maildrop forgets what it has seen, and later fetches everything
again. A restored server, a wrong mount or a failing index look just so, and pass.
"""

from dataclasses import dataclass, replace

# In the place of a UIDVALIDITY: this server gives a new one each time (UW imapd does, with a mailbox that it may
# not write), so another one says nothing.
UNSTABLE = 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """How the mailbox looked. `since` is when it was first seen so, in seconds since the epoch."""

    uidvalidity: int
    messages: int
    since: float
    uidnext: int = 0  # 0: not told


@dataclass(frozen=True, slots=True)
class Caution:
    """When a mailbox that has become smaller is not shown, and when it is all the same."""

    missing_share: float = 0.5  # more than this part of the messages
    missing_least: int = 20  # and at least so many
    confirm_after: float = 300.0  # seconds that it must have looked so; 0 believes everything


@dataclass(frozen=True, slots=True)
class Verdict:
    """On a sighting."""

    reason: str = ""  # why it is not to be shown; "": it is
    noted: Sighting | None = None  # what is to be remembered of it, where that is something new
    seconds_left: float = 0.0  # until it is shown, if it still looks so then


def judge(accepted: Sighting | None, doubted: Sighting | None, now: Sighting, caution: Caution) -> Verdict:
    """`accepted` is the last sighting that was shown, `doubted` the first since then that was not."""
    reason = _odd(accepted, now, caution) if caution.confirm_after else ""
    if not reason:
        return _accept(accepted, doubted, now)
    if doubted is None or doubted.since > now.since or _missing(doubted, now, caution):
        return Verdict(reason, now, caution.confirm_after)  # the time begins, or begins anew
    left = caution.confirm_after - (now.since - doubted.since)
    if left > 0:
        return Verdict(reason, seconds_left=left)
    if doubted.uidvalidity != now.uidvalidity:
        now = replace(now, uidvalidity=UNSTABLE)
    return Verdict(noted=now)


def _accept(accepted: Sighting | None, doubted: Sighting | None, now: Sighting) -> Verdict:
    if accepted is not None and accepted.uidvalidity == UNSTABLE:
        now = replace(now, uidvalidity=UNSTABLE)
    same = accepted is not None and replace(accepted, since=now.since) == now
    return Verdict(noted=None if same and doubted is None else now)


def _odd(before: Sighting | None, now: Sighting, caution: Caution) -> str:
    if before is None or not before.messages:
        return ""
    if before.uidvalidity not in {now.uidvalidity, UNSTABLE}:
        return f"UIDVALIDITY changed from {before.uidvalidity} to {now.uidvalidity}"
    return _missing(before, now, caution)


def _missing(before: Sighting, now: Sighting, caution: Caution) -> str:
    missing = before.messages - now.messages
    if missing >= caution.missing_least and missing > caution.missing_share * before.messages:
        return f"{missing} of {before.messages} messages are missing"
    return ""
