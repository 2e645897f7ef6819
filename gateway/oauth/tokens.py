"""The token endpoint (RFC 6749 section 3.2), over Authlib: requests of all grants out, tokens or errors in.

Authlib's own httpx client is not taken: it prefers httpx2 where that is installed, and bounds nothing. Its core
makes and reads the messages, on whatever session it is given.
"""

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateway.errors import ProviderError, RegistrationRefused
from gateway.oauth import assertions
from gateway.oauth.discovery import located
from gateway.oauth.faults import NoAnswer, refusal, without
from gateway.oauth.provider import Client, Provider
from gateway.ports import Tokens
from gateway.sasl import Secret

# RFC 6750 section 2.1, and no more than an IMAP server takes in a line.
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


class TokenEndpoint:
    """Of one provider, for our application there. `doing` begins what is said of errors."""

    def __init__(self, client: Client, doing: str) -> None:
        """Raises ProviderError: a provider that is known by its issuer is looked up."""
        self.provider: Provider = located(client)
        self._client = client
        self._doing = f"{client.provider.name}: {doing}"
        self._secrets = [client.secret] if client.secret else []

    def fetch(self, grant_type: str, secrets: Iterable[Secret] = (), **parameters: str) -> Tokens:
        """`secrets`: those among the parameters, which no error may repeat. Raises as faults.py says."""
        return self._answered(
            lambda oauth: oauth.fetch_token(
                self._url("token"), grant_type=grant_type, **self._identified(parameters)
            ),
            secrets,
        )

    def refresh(self, refresh: Secret) -> Tokens:
        """The new refresh token, if there is one, is in the answer (RFC 6749 section 6)."""
        found = self._answered(
            lambda oauth: oauth.refresh_token(
                self._url("token"), refresh_token=refresh.reveal(), **self._identified({})
            ),
            [refresh],
        )
        return Tokens(found.access, found.expires, None if found.refresh == refresh else found.refresh)

    def revoke(self, token: Secret) -> None:
        with self._translated([token]):
            response = self._authlib().revoke_token(self._url("revocation"), token=token.reveal())
            if not response.is_success:
                _json_object(response)

    def ask(self, endpoint: str, **parameters: str) -> dict[str, Any]:
        """Another endpoint that wants to know the client, and answers in JSON: that of RFC 8628."""
        with self._translated([]):
            oauth = self._authlib()
            auth = oauth.client_auth(oauth.token_endpoint_auth_method)
            response = oauth.session.post(self._url(endpoint), self._identified(parameters), auth=auth)
            return _json_object(response)

    def authorization_url(self, redirect_uri: str, state: str, verifier: Secret, hint: str) -> str:
        """RFC 6749 section 4.1.1, RFC 7636 section 4.3."""
        oauth = self._authlib()
        oauth.code_challenge_method = "S256"
        more = {"login_hint": hint} if hint else {}
        url, _ = oauth.create_authorization_url(
            self._url("authorization"),
            state=state,
            code_verifier=verifier.reveal(),
            redirect_uri=redirect_uri,
            scope=" ".join(self.provider.scopes) or None,
            **dict(self.provider.asked),
            **more,
        )
        return str(url)

    # How the client proves itself

    def _authlib(self) -> Any:
        from authlib.oauth2.client import OAuth2Client  # noqa: PLC0415

        from gateway.oauth.transport import Session  # noqa: PLC0415

        client, method = self._client, "none"
        key: Any = client.secret.reveal() if client.secret else None
        if client.secret:
            method = "client_secret_basic" if self.provider.basic else "client_secret_post"
        oauth = OAuth2Client(
            Session(client.ca_file),
            client_id=client.client_id,
            client_secret=key,
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
        )
        oauth.oauth_error_class = _Refused
        if client.certificate:
            key, signer = assertions.certified(client.certificate, self._url("token"))
            oauth.client_secret = key
            oauth.register_client_auth_method(signer)
            oauth.token_endpoint_auth_method = oauth.revocation_endpoint_auth_method = signer.name
        return oauth

    def _identified(self, parameters: dict[str, str]) -> dict[str, str]:
        """Microsoft wants client_id beside an assertion, where RFC 7521 section 4.2 leaves it out."""
        return parameters | ({"client_id": self._client.client_id} if self._client.certificate else {})

    def _url(self, endpoint: str) -> str:
        found: str = getattr(self.provider, endpoint)
        if not found:
            raise RegistrationRefused(f"{self._doing}: {self.provider.title} has no {endpoint} endpoint")
        return found

    # What it answers

    def _answered(self, ask: Callable[[Any], Any], secrets: Iterable[Secret]) -> Tokens:
        began = time.time()  # our own clock, before the provider's began to count
        with self._translated(secrets):
            return _tokens(ask(self._authlib()), began)

    @contextlib.contextmanager
    def _translated(self, secrets: Iterable[Secret]) -> Iterator[None]:
        known = [*self._secrets, *secrets]
        try:
            yield
        except _Refused as error:
            raise refusal(self._doing, error.code, error.description, known) from None
        except ProviderError as error:
            raise type(error)(f"{self._doing}: {without(str(error), known)}") from None
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            # Authlib reads an answer with json(), int() and in.
            said = str(error) if isinstance(error, NoAnswer) else "the answer makes no sense"
            raise ProviderError(f"{self._doing}: {said}") from None


class _Refused(Exception):
    """In the place of Authlib's own, which takes no description with a line break in it: Microsoft's have some."""

    def __init__(self, error: object, description: object = None) -> None:
        super().__init__()
        self.code, self.description = error, description


def _tokens(answer: Any, began: float) -> Tokens:
    access, kind = answer.get("access_token"), answer.get("token_type", "bearer")
    if not isinstance(access, str) or not _TOKEN.fullmatch(access):
        raise NoAnswer("the answer has no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NoAnswer("the answer has a token of another type than Bearer")
    refresh = answer.get("refresh_token")
    if refresh is not None and (not isinstance(refresh, str) or not _TOKEN.fullmatch(refresh)):
        raise NoAnswer("the answer has a refresh token that is none")
    return Tokens(Secret(access), _expiry(answer.get("expires_in"), began), Secret(refresh) if refresh else None)


def _expiry(seconds: Any, began: float) -> float:
    """RFC 6749 leaves it out where the token says so itself, or nobody does."""
    if seconds is None:
        return 0.0
    lasting = float(seconds)
    if isinstance(seconds, bool) or not math.isfinite(lasting) or lasting <= 0:
        raise NoAnswer("the answer has a token that has expired already")
    return began + lasting


def _json_object(response: Any) -> dict[str, Any]:
    """Of an endpoint whose answers Authlib leaves to us."""
    try:
        found = response.json()
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and "error" in found:
        raise _Refused(found["error"], found.get("error_description"))
    if not isinstance(found, dict) or not response.is_success:
        raise NoAnswer(f"status {response.status_code}, and no answer in JSON")
    return found
