"""Pass-through: the client's name and password are the upstream's."""

from collections.abc import Callable, Collection

from gateway.errors import BadCredentials
from gateway.maildrop import Policy
from gateway.ports import Account, Destination, Directory, Endpoint, Peer
from gateway.sasl import ITERATIONS, TOKEN_MECHANISMS, Bearer, Claim, Credentials, Keyring, Needs

_PASSWORD_ONLY = frozenset({Needs.PASSWORD})
_WITH_TOKENS = _PASSWORD_ONLY | {Needs.TOKEN}


class PassThrough:
    """Implements ports.Accounts: everybody has an account at an upstream, which checks the password."""

    def __init__(
        self,
        endpoint: Endpoint,
        folder: str,
        policy: Policy,
        mechanisms: Callable[[Endpoint], Collection[str]] = lambda _: (),
        routes: Directory | None = None,
    ) -> None:
        """`endpoint` is where most go, and `routes` knows of others. `mechanisms` are those of SASL that an
        upstream is known to offer.
        """
        self._routes = routes
        self._mechanisms = mechanisms
        self._endpoint = endpoint
        self._folder = folder
        self._policy = policy

    @property
    def offers(self) -> frozenset[Needs]:
        """The client's password is handed on, and its token where the upstream takes one."""
        takes_tokens = not TOKEN_MECHANISMS.isdisjoint(self._mechanisms(self._endpoint))
        return _WITH_TOKENS if takes_tokens else _PASSWORD_ONLY

    async def look(self) -> None:
        """What the upstream takes is asked once, at the start."""

    async def keyring(self, user: str) -> Keyring:  # noqa: ARG002
        """Nothing is kept here, so no mechanism that would ask is offered."""
        return Keyring(b"", ITERATIONS)

    async def resolve(self, claim: Claim, peer: Peer) -> Account:
        """Raises BadCredentials, and UpstreamError where a look-up failed."""
        if not isinstance(claim, Credentials | Bearer):
            raise BadCredentials(text="the mail server wants the password itself")
        separator = self._endpoint.master_separator
        if (isinstance(claim, Credentials) and claim.authorization) or (separator and separator in claim.user):
            raise BadCredentials(text="logging in as somebody else is not offered here")
        found = await self._routes.find(claim, peer) if self._routes else Destination(self._endpoint, claim)
        given_by = "" if found.claim.secret is claim.secret else found.route
        folder = found.folder or self._folder
        return Account(found.endpoint, found.claim, folder, self._policy, given_by=given_by)
