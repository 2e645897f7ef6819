"""The enrolment page: who came, and what came of it. Paths are not here: an invitation's token stands in one."""

from dataclasses import dataclass

from gateway.telemetry.events.event import Event


@dataclass(frozen=True, slots=True)
class PageListening(Event):
    name = "enrolment page listening"
    listen: str
    url: str  # for browsers; providers have to know it with /callback behind it


@dataclass(frozen=True, slots=True)
class PageServed(Event):
    name = "page served"
    level = "debug"
    page: str
    status: int
    address: str


@dataclass(frozen=True, slots=True)
class PageFailed(Event):
    """It is not the visitor's fault."""

    name = "page cannot be served now"
    level = "warning"
    page: str
    address: str
    error: str


@dataclass(frozen=True, slots=True)
class InvitationMade(Event):
    """By the operator, on the page."""

    name = "invitation made"
    invitation: str
    user: str
    address: str


@dataclass(frozen=True, slots=True)
class InvitationRefused(Event):
    """There is no such, or not any more."""

    name = "invitation refused"
    level = "warning"
    address: str


@dataclass(frozen=True, slots=True)
class SignedIn(Event):
    """The account is there, or has a new grant."""

    name = "signed in with the provider"
    user: str
    provider: str
    address: str
    new_account: bool


@dataclass(frozen=True, slots=True)
class SignInFailed(Event):
    name = "sign-in with the provider failed"
    level = "warning"
    user: str
    provider: str
    address: str
    error: str


@dataclass(frozen=True, slots=True)
class OperatorEntered(Event):
    name = "operator logged in on the page"
    address: str


@dataclass(frozen=True, slots=True)
class OperatorRefused(Event):
    name = "operator's login on the page failed"
    level = "warning"
    address: str
    error: str
