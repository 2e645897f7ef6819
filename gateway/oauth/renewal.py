"""The next access token of a grant, by each way that there is."""

from collections.abc import Callable, Mapping

from gateway.errors import RegistrationRefused, SignInNeeded
from gateway.oauth.assertions import JWT_BEARER, service_account
from gateway.oauth.provider import SHARED_TENANTS, Client
from gateway.oauth.tokens import TokenEndpoint
from gateway.ports import Grant, Renewal, Tokens
from gateway.sasl import Secret


class Renewals:
    """Implements Renewer. `clients` by the names that Grant.provider has: Settings.clients()."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = clients

    def renew(self, grant: Grant, user: str, secret: Secret) -> Tokens:
        """`user` is the mailbox; `secret` its password, for Renewal.PASSWORD only.

        Raises SignInNeeded where this grant will give no tokens any more, ProviderError for all else.
        """
        return _WAYS[grant.renewal](self._client(grant), grant, user, secret)

    def revoke(self, grant: Grant) -> None:
        """Tell the provider that its grant is needed no more, where it can be told (RFC 7009).

        Raises ProviderError. Blocking.
        """
        endpoint = TokenEndpoint(self._client(grant), "revoking the grant")
        if grant.refresh is not None and endpoint.provider.revocation:
            endpoint.revoke(grant.refresh)

    def _client(self, grant: Grant) -> Client:
        client = self._clients.get(grant.provider)
        if client is None:
            raise RegistrationRefused(f"the settings have no oauth.{grant.provider} any more")
        client = client.registered(grant.registration)
        if not client.client_id and grant.renewal is not Renewal.ASSERTION:
            raise RegistrationRefused(f"oauth.{grant.provider}.client_id is needed")
        return client


def _refreshed(client: Client, grant: Grant, user: str, secret: Secret) -> Tokens:  # noqa: ARG001
    if grant.refresh is None:
        raise SignInNeeded(f"{client.provider.name}: there is no refresh token")
    return TokenEndpoint(client, "refreshing the access token").refresh(grant.refresh)


def _by_client(client: Client, grant: Grant, user: str, secret: Secret) -> Tokens:  # noqa: ARG001
    """One grant for many mailboxes: the operator's, so no owner can do anything about it."""
    provider = client.provider
    if provider.tenant in SHARED_TENANTS:
        raise RegistrationRefused(
            f"oauth.{provider.name}.tenant is needed: an application opens the mailboxes of one tenant, "
            f"not of {provider.tenant}"
        )
    endpoint = TokenEndpoint(client, "client credentials")
    scopes = endpoint.provider.application_scopes or endpoint.provider.scopes
    return _of_the_operator(lambda: endpoint.fetch("client_credentials", scope=" ".join(scopes)))


def _by_assertion(client: Client, grant: Grant, user: str, secret: Secret) -> Tokens:  # noqa: ARG001
    if client.service_account is None:
        raise RegistrationRefused(f"oauth.{client.provider.name}.service_account is needed")
    endpoint = TokenEndpoint(client, f"service account for {user}")
    provider = endpoint.provider
    scope = " ".join(provider.application_scopes or provider.scopes)
    assertion = service_account(client.service_account, provider.token, user, scope)
    return _of_the_operator(lambda: endpoint.fetch(JWT_BEARER, [assertion], assertion=assertion.reveal()))


def _by_password(client: Client, grant: Grant, user: str, secret: Secret) -> Tokens:  # noqa: ARG001
    endpoint = TokenEndpoint(client, f"the password of {user}")
    scope = " ".join(endpoint.provider.scopes)
    return endpoint.fetch("password", [secret], username=user, password=secret.reveal(), scope=scope)


_WAYS: dict[Renewal, Callable[[Client, Grant, str, Secret], Tokens]] = {
    Renewal.REFRESH: _refreshed,
    Renewal.CLIENT: _by_client,
    Renewal.ASSERTION: _by_assertion,
    Renewal.PASSWORD: _by_password,
}


def _of_the_operator(ask: Callable[[], Tokens]) -> Tokens:
    """What only the operator can mend must not wait for an owner to sign in."""
    try:
        return ask()
    except SignInNeeded as error:
        raise RegistrationRefused(str(error)) from None
