"""What went wrong, in words for the person before the screen: one table."""

from dataclasses import dataclass

from gateway import errors
from gateway.errors import GatewayError
from gateway.web.forms import StaleForm


@dataclass(frozen=True, slots=True)
class Fault:
    status: int
    title: str
    text: str  # "": what the error says itself


_FAULTS: dict[type[Exception], Fault] = {
    errors.InvitationVoid: Fault(
        404,
        "This link is not good any more",
        "It has been used already, or it has expired. Ask for a new one.",
    ),
    errors.LockedOut: Fault(429, "Too many attempts", "Wait a while, and try again then."),
    errors.BadCredentials: Fault(403, "The password is wrong", "Try again."),
    errors.SignInNeeded: Fault(
        403,
        "You have not signed in",
        "Your mail provider says that the sign-in was refused or given up. Nothing has been changed.",
    ),
    errors.AnotherMailbox: Fault(
        403,
        "This is another mailbox",
        "You have signed in, but not to the mailbox that you were invited for. At the provider, choose to use "
        "another account, and sign in with the invited address. Nothing has been changed.",
    ),
    errors.RegistrationRefused: Fault(
        502,
        "Signing in is not set up right",
        "Your mail provider does not accept this page. Its operator finds the reason in the log.",
    ),
    errors.ProviderError: Fault(
        502,
        "Your mail provider does not answer",
        "Its sign-in service cannot be used just now. Nothing has been changed; try again in a few minutes.",
    ),
    errors.UpstreamError: Fault(
        502,
        "The mail server does not answer",
        "You have signed in, but the mailbox cannot be opened just now. Try again in a few minutes.",
    ),
    errors.BadRecord: Fault(400, "That cannot be done", ""),
    StaleForm: Fault(403, "This page was open for too long", "Go back, load it again, and try once more."),
    GatewayError: Fault(503, "This does not work just now", "Try again in a few minutes."),
}


def fault_of(error: Exception) -> Fault:
    """The nearest; of anything else than these there is none. Raises KeyError."""
    nearest = next((kind for kind in type(error).__mro__ if kind in _FAULTS), type(error))
    found = _FAULTS[nearest]
    return found if found.text else Fault(found.status, found.title, f"{str(error)[:1].upper()}{str(error)[1:]}.")
