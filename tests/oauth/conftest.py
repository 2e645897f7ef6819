"""Our application at the authorization server of the tests, as the settings would have it."""

from collections.abc import Callable

import pytest

from gateway.oauth import Client, Provider, SignIn, begin
from gateway.ports import Grant, Renewal
from gateway.sasl import Secret
from tests.servers.authorization import SCOPE, AuthorizationServer, Registered

REDIRECT = "http://127.0.0.1:8000/answer"


def provider_at(server: AuthorizationServer, **other: object) -> Provider:
    known: dict[str, object] = {
        "authorization": server.authorization_endpoint,
        "token": server.token_endpoint,
        "device": server.device_endpoint,
        "revocation": server.revocation_endpoint,
        "issuer": server.issuer,
        "scopes": (SCOPE,),
        "renewals": frozenset(Renewal),
    }
    return Provider("corp", "Corp", "imaps://imap.example.org", **(known | other))  # type: ignore[arg-type]


def client_of(server: AuthorizationServer, registered: Registered, **other: object) -> Client:
    secret = Secret(registered.client_secret) if registered.client_secret else None
    known: dict[str, object] = {"client_id": registered.client_id, "secret": secret, "ca_file": server.ca_file}
    return Client(provider_at(server), **(known | other))  # type: ignore[arg-type]


@pytest.fixture
def registered(authorization: AuthorizationServer) -> Registered:
    return authorization.register(REDIRECT)


@pytest.fixture
def client(authorization: AuthorizationServer, registered: Registered) -> Client:
    return client_of(authorization, registered)


@pytest.fixture
def signed_in(authorization: AuthorizationServer, client: Client) -> Callable[..., tuple[SignIn, str]]:
    """signed_in(user): what was begun, and where the browser was sent at last."""

    def sign_in(user: str, *, allow: bool = True) -> tuple[SignIn, str]:
        begun = begin(client, REDIRECT, user)
        with authorization.browser() as browser:
            return begun, browser.sign_in(begun.url, user, allow=allow)

    return sign_in


def grant(renewal: Renewal = Renewal.REFRESH, refresh: Secret | None = None) -> Grant:
    return Grant("corp", renewal, since=1.0, refresh=refresh)
