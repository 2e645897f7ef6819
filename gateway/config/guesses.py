"""How many wrong passwords are too many."""

from pydantic import Field

from gateway.config.sections import Section
from gateway.config.values import Count, Networks, Seconds
from gateway.guesses import Limit, Rules

MOST = 100_000


class Guesses(Section):
    per_address: Count = Field(
        default=50,
        ge=0,
        le=MOST,
        description="wrong passwords from one address (IPv6: one /64), whatever names it tries; then it is locked "
        "out, but for users who are known there; 0: never",
    )
    per_account: Count = Field(
        default=20,
        ge=0,
        le=MOST,
        description="wrong passwords for one account from a place where its right one came in the last 30 days, "
        "and again from all other places together; then it is locked for just these; 0: never",
    )
    window: Seconds = Field(
        default=3600.0, description="the time in which there may be so many; they are forgotten one by one"
    )
    lockout: Seconds = Field(
        default=900.0,
        description="how long no password is looked at then; after it one more guess begins the next lock-out",
    )
    trusted: Networks = Field(
        default=(),
        description="networks that are not counted and not locked out, like 192.0.2.7 for a webmail; clients "
        "behind a relay that does not tell their addresses are one address, which should not be here",
    )

    def rules(self) -> Rules:
        limits = (Limit(most, self.window, self.lockout) for most in (self.per_address, self.per_account))
        return Rules(*limits)
