"""Wrong passwords: how many are held against whom, and from when on nobody from there is listened to. Pure.

A count is one number, the time at which the last of its guesses will be forgotten; 0.0 is none. Each guess puts it
off by the same interval (the virtual scheduling of ITU-T I.371), so it decays by itself, and neither a clock nor a
sweep is needed to know what it is worth.

There is a count for each address, whatever names it tries. An account has one for each place where its right
password came lately, and one for all other places together: strangers elsewhere, however many, never touch the
count of a place where the owner is known.
"""

import math
from dataclasses import dataclass

PLACE_SECONDS = 30 * 86_400.0  # a login makes its place known for so long
PLACE_STEP_SECONDS = 86_400.0  # and is noted no more often: a write for each poll would wear a disk out
_ROUNDING = 0.01  # of a guess: times have a resolution of a quarter of a microsecond


@dataclass(frozen=True, slots=True)
class Limit:
    """`most` guesses within `window` seconds (0: any number), then `lockout` seconds without any.

    After a lock-out the count is still full: without a pause, one more guess begins the next one.
    """

    most: int
    window: float
    lockout: float

    def count(self, clear_at: float, now: float) -> int:
        """Guesses that are not forgotten."""
        left = min(self._left(clear_at, now), self.window)
        return math.ceil(left * self.most / self.window - _ROUNDING)

    def seconds_locked(self, clear_at: float, now: float) -> float:
        """From now on; 0: it is not."""
        return max(self._left(clear_at, now) - self.window, 0.0) if self.most else 0.0

    def add(self, clear_at: float, now: float) -> float:
        """One more guess."""
        if not self.most:
            return clear_at
        interval = self.window / self.most
        left = self._left(clear_at, now) + interval
        full = left > self.window - interval / 2  # guesses take a while, and the first fades meanwhile
        return now + (self.window + self.lockout if full else left)

    def _left(self, clear_at: float, now: float) -> float:
        """Seconds until all is forgotten. Where the clock was set back, no lock-out lasts longer for it."""
        return min(max(clear_at - now, 0.0), self.window + self.lockout)


@dataclass(frozen=True, slots=True)
class Held:
    """The two counts that a login meets."""

    address: float = 0.0
    account: float = 0.0  # from this place where it is known, else from all others


@dataclass(frozen=True, slots=True)
class Rules:
    address: Limit
    account: Limit

    def seconds_barred(self, held: Held, now: float, *, known: bool) -> float:
        """How long from now on no password is looked at; 0: one is.

        A colleague's guesses bar nobody who is known at this address and has not guessed himself: many share one,
        and behind a relay all do.
        """
        account = self.account.seconds_locked(held.account, now)
        if known and self.account.most and not self.account.count(held.account, now):
            return account
        return max(account, self.address.seconds_locked(held.address, now))

    def fail(self, held: Held, now: float) -> Held:
        """One more wrong password."""
        return Held(self.address.add(held.address, now), self.account.add(held.account, now))

    def count(self, held: Held, now: float) -> int:
        """The larger of the two."""
        limits = ((self.address, held.address), (self.account, held.account))
        return max(limit.count(clear_at, now) for limit, clear_at in limits)


def is_known(until: float, now: float) -> bool:
    """Of a place that is remembered until then. A clock that was set back makes none known for longer."""
    return now < until <= now + PLACE_SECONDS + PLACE_STEP_SECONDS


def remember(until: float, now: float) -> float:
    """The same after a good login."""
    noted_lately = is_known(until, now) and until > now + PLACE_SECONDS - PLACE_STEP_SECONDS
    return until if noted_lately else now + PLACE_SECONDS
