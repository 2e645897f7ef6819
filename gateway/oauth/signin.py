"""The owner signs in with a browser: authorization code (RFC 6749 section 4.1) with PKCE (RFC 7636)."""

import hmac
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from gateway.errors import RegistrationRefused, SignInNeeded
from gateway.oauth.faults import refusal
from gateway.oauth.provider import Client
from gateway.oauth.tokens import TokenEndpoint
from gateway.ports import Tokens
from gateway.sasl import Secret

STATE_OCTETS, VERIFIER_OCTETS = 24, 48  # RFC 7636 section 4.1 wants 32 at least
MOST_LETTERS = 16_384  # of an answer: URLs are pasted by hand
_CODE = re.compile(r"[^\s?&=#]+")
_AGAIN = "begin again"


@dataclass(frozen=True, slots=True)
class SignIn:
    """One that has begun. Keep it where only whoever began it can have it redeemed."""

    url: str = field(repr=False)  # send the browser there
    state: str = field(repr=False)  # comes back with the answer
    verifier: Secret  # of PKCE: never leaves us before the code comes
    redirect_uri: str  # where the answer goes


def begin(client: Client, redirect_uri: str, user: str = "") -> SignIn:
    """`user`, the mailbox, is suggested to the provider as whom to sign in; it may be another in the end.

    Raises ProviderError: a provider by its issuer is looked up here, nothing else waits.
    """
    state = secrets.token_urlsafe(STATE_OCTETS)
    verifier = Secret(secrets.token_urlsafe(VERIFIER_OCTETS))
    url = TokenEndpoint(client, "signing in").authorization_url(redirect_uri, state, verifier, user)
    return SignIn(url, state, verifier, redirect_uri)


def redeem(client: Client, sign_in: SignIn, answer: str) -> Tokens:
    """`answer`: the whole URL that the browser was sent to, its query, or the code alone, pasted by hand.

    Raises SignInNeeded where the owner or the provider said no, ProviderError for all else. Blocking.
    """
    doing = "signing in"
    endpoint = TokenEndpoint(client, doing)
    code = Secret(_code(f"{client.provider.name}: {doing}", endpoint.provider.issuer, sign_in, answer.strip()))
    tokens = endpoint.fetch(
        "authorization_code",
        [code, sign_in.verifier],
        code=code.reveal(),
        redirect_uri=sign_in.redirect_uri,
        code_verifier=sign_in.verifier.reveal(),
    )
    return lasting(client, tokens)


def lasting(client: Client, tokens: Tokens) -> Tokens:
    """With a refresh token: without one the owner would have to sign in again in an hour."""
    if tokens.refresh is None:
        raise RegistrationRefused(
            f"{client.provider.name}: the provider gave no refresh token; allow the application to ask for one "
            f"(scopes: {' '.join(client.provider.scopes) or 'none'})"
        )
    return tokens


def _code(doing: str, issuer: str, sign_in: SignIn, answer: str) -> str:
    """RFC 6749 section 4.1.2. A code alone has no state; that it is ours, the provider says by PKCE."""
    if len(answer) > MOST_LETTERS:
        raise SignInNeeded(f"{doing}: the answer is too long; {_AGAIN}")
    if _CODE.fullmatch(answer) and "://" not in answer:
        return answer
    query = answer.partition("?")[2] if "?" in answer else answer
    said = dict(parse_qsl(query.partition("#")[0]))
    state = said.get("state", "").encode(errors="replace")  # a terminal may give anything
    if not hmac.compare_digest(state, sign_in.state.encode()):
        raise SignInNeeded(f"{doing}: this answer is not to the question that was asked last; {_AGAIN}")
    if said.get("iss", issuer) != issuer and issuer:  # RFC 9207: another provider's answer
        raise SignInNeeded(f"{doing}: this answer is another provider's; {_AGAIN}")
    if "error" in said:
        raise refusal(doing, said["error"], said.get("error_description"))
    if not said.get("code"):
        raise SignInNeeded(f"{doing}: there is no code in the answer; paste the whole address, up to its end")
    return said["code"]
