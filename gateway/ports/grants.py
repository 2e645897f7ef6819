"""OAuth 2.0 (RFC 6749): what a provider has granted for a mailbox, and who turns it into access tokens."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from gateway.sasl import Bearer, Secret


class Renewal(Enum):
    """How an account gets its next access token."""

    REFRESH = "refresh_token"  # the owner signed in once (RFC 6749 section 6)
    CLIENT = "client_credentials"  # the operator's application may open all mailboxes (section 4.4)
    ASSERTION = "service_account"  # Google's domain-wide delegation (RFC 7523)
    PASSWORD = "password"  # noqa: S105 - the resource owner's, where a provider still has it (section 4.3)


@dataclass(frozen=True, slots=True)
class Registration:
    """Our application, as a provider knows it: the client of RFC 6749 section 2. Empty: what the settings say."""

    client_id: str = ""
    client_secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """An answer of a provider's token endpoint (RFC 6749 section 5.1)."""

    access: Secret
    expires: float  # seconds since the epoch, by our clock; 0: it does not say
    refresh: Secret | None = None  # one in the place of the last


@dataclass(frozen=True, slots=True)
class Grant:
    """Of one stored account. Times are seconds since the epoch; 0: never, or not known."""

    provider: str  # its name in the settings, or in the table of providers
    renewal: Renewal
    since: float  # when it was granted: another sign-in makes another one
    registration: Registration = Registration()  # other than that of the settings
    refresh: Secret | None = None
    access: Secret | None = None  # the last one
    renewed: float = 0.0  # when that came; 0: with the grant
    expires: float = 0.0  # when that ends
    turned_down: float = 0.0  # when the mail server had refused one, and so another was asked for
    tried: float = 0.0  # when the provider was asked last, whatever it said
    fault: str = ""  # why it gave none then, where another time it may; in words for the operator
    trouble: str = ""  # why it gives none any more, likewise; "": it does


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link by which one person signs in, once. It is opened with a token, of which only a hash is kept."""

    name: str  # what it is withdrawn by: no secret
    login: str  # the account that is made, or gets a new grant
    provider: str  # "": the person may choose
    created: float  # seconds since the epoch
    expires: float  # likewise
    terms: Mapping[str, Any] = field(default_factory=dict)  # of the account and its app password, as JSON has it


class Invitations(Protocol):
    """Blocking; every method may raise StateError, and is durable on return. Nothing secret is kept."""

    def add(self, token: Secret, invitation: Invitation) -> None:
        """`token` is random, of 128 bits or more. Raises AccountExists where there is one of this name."""

    def look(self, token: Secret, now: float) -> Invitation | None:
        """None: there is no such, it has expired, or it is used. It stays as it is."""

    def consume(self, token: Secret, now: float) -> Invitation | None:
        """As look(), and nobody else gets it any more: of many who come at once, one does."""

    def all(self, now: float) -> Iterable[Invitation]:
        """Those that are good still, in the order of their logins."""

    def withdraw(self, name: str) -> bool:
        """False: there is no such."""

    def sweep(self, now: float) -> int:
        """Forget those that have expired; how many they were."""


@dataclass(frozen=True, slots=True)
class Granted:
    """In the place of credentials: an access token, which is got when a connection wants one."""

    user: str  # whose mailbox, at the upstream
    login: str  # the stored account
    mechanism: str  # XOAUTH2 or OAUTHBEARER, the one to be preferred
    since: float  # as Grant.since: another sign-in makes another one


class AccessTokens(Protocol):
    """Blocking, from any thread."""

    def bearer(self, granted: Granted, refused: Secret | None = None) -> Bearer:
        """A token that is good for a while, and another than `refused`, which the upstream has just turned down.

        Raises SignInNeeded; TokenRefused where another was turned down a moment ago; ProviderError, StateError.
        """


class Renewer(Protocol):
    """A provider's token endpoint. Blocking, bounded."""

    def renew(self, grant: Grant, user: str, secret: Secret) -> Tokens:
        """`user` is the mailbox; `secret` its password, for Renewal.PASSWORD only.

        Raises SignInNeeded where this grant will give no tokens any more, ProviderError for all else.
        """
