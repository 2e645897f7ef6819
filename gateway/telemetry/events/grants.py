"""What providers grant: access tokens, and the end of them."""

from dataclasses import dataclass

from gateway.telemetry.events.event import Event


@dataclass(frozen=True, slots=True)
class TokenRenewed(Event):
    """Once for all who wait for it, about once an hour for a mailbox that is polled."""

    name = "access token renewed"
    level = "debug"
    login: str
    provider: str
    good_for_seconds: int  # 0: the provider does not say


@dataclass(frozen=True, slots=True)
class GrantEnded(Event):
    """Told when the provider says it. Logins fail until somebody signs in anew, or mends the consent there."""

    name = "sign-in needed: the provider gives no tokens for this mailbox any more"
    level = "warning"
    login: str
    provider: str
    why: str


@dataclass(frozen=True, slots=True)
class ProviderFailed(Event):
    """What was granted is as good as before. While the last token lives, logins go on with it."""

    name = "no access token now: the provider's sign-in service cannot be used"
    level = "warning"
    login: str
    provider: str
    error: str


@dataclass(frozen=True, slots=True)
class GrantNotKept(Event):
    """What the provider has just given is in the memory of this process alone: written as soon as that can be
    done, lost if it ends before, and then somebody has to sign in again.
    """

    name = "what the provider gave cannot be written down: do not stop the gateway before the state is mended"
    level = "error"
    login: str
    provider: str
    error: str


@dataclass(frozen=True, slots=True)
class GrantKept(Event):
    """After GrantNotKept."""

    name = "what the provider gave is written down now"
    login: str
    provider: str
