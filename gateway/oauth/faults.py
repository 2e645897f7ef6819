"""What goes wrong at a provider, and what becomes of it: the gateway's errors, in words for the operator.

Three kinds, by who can mend it: the owner of the mailbox signs in again (SignInNeeded), the operator corrects the
registration (RegistrationRefused), or it passes (ProviderError). Only the first may cost a grant.
"""

from collections.abc import Iterable

from gateway.errors import GatewayError, ProviderError, RegistrationRefused, SignInNeeded
from gateway.sasl import Secret


class NoAnswer(ValueError):
    """An answer that is not what it should be, told in our own words."""


class Pending(ProviderError):
    """RFC 8628 section 3.5: the owner has not said yes yet, nor no."""


class SlowDown(Pending):
    """Likewise, and we ask too often."""


# RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, OpenID Connect Core section 3.1.2.6, and what providers
# say in the same place. Any other code may pass: nothing is lost by asking again.
_CODES: dict[str, type[GatewayError]] = {
    "invalid_grant": SignInNeeded,
    "access_denied": SignInNeeded,
    "expired_token": SignInNeeded,
    "interaction_required": SignInNeeded,
    "login_required": SignInNeeded,
    "consent_required": SignInNeeded,
    "account_selection_required": SignInNeeded,
    "invalid_client": RegistrationRefused,
    "unauthorized_client": RegistrationRefused,
    "invalid_scope": RegistrationRefused,
    "invalid_request": RegistrationRefused,
    "invalid_resource": RegistrationRefused,  # Microsoft: the scope's application is not there
    "invalid_target": RegistrationRefused,  # RFC 8707
    "unsupported_grant_type": RegistrationRefused,
    "unsupported_response_type": RegistrationRefused,
    "redirect_uri_mismatch": RegistrationRefused,  # Google
    "deleted_client": RegistrationRefused,  # Google
    "disabled_client": RegistrationRefused,  # Google
    "org_internal": RegistrationRefused,  # Google: the application is for its own organisation only
    "admin_policy_enforced": RegistrationRefused,  # Google Workspace
    "authorization_pending": Pending,
    "slow_down": SlowDown,
}
_PLAIN_WORDS = {
    "access_denied": "the owner, or an administrator, said no",
    "expired_token": "the code has expired",
    "invalid_grant": "the grant is at its end",
}
_TEXT_LETTERS = 300  # of a provider's own words that are passed on
_TELLING = 8  # letters of a secret in a row


def refusal(doing: str, code: object, description: object, secrets: Iterable[Secret] = ()) -> GatewayError:
    """The error for an answer with `error` and `error_description`."""
    known = code if isinstance(code, str) and code in _CODES else ""
    theirs = ": ".join(plain(word) for word in (code, description) if isinstance(word, str) and word != known)
    words = (_PLAIN_WORDS.get(known, ""), known, without(theirs, secrets))
    said = ": ".join(word for word in words if word) or "it refuses, and does not say why"
    return _CODES.get(known, ProviderError)(f"{doing}: {said}")


def plain(text: str) -> str:
    """A provider's words, safe for a log line: printable, on one line, and not long."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return words if len(words) <= _TEXT_LETTERS else words[:_TEXT_LETTERS] + " …"


def without(text: str, secrets: Iterable[Secret]) -> str:
    """The text, unless it repeats a part of one of these: providers do quote what they did not like."""
    for secret in secrets:
        value = secret.reveal()
        size = min(_TELLING, len(value))
        if size and any(text[at : at + size] in value for at in range(len(text) - size + 1)):
            return "it repeats a secret, so it is not shown"
    return text
