"""Pass-through: the client's name and password are the upstream's."""

from gateway.maildrop import Policy
from gateway.ports import Account, Endpoint
from gateway.sasl import Credentials


class PassThrough:
    """Implements ports.Accounts: everybody has an account at the one upstream, which checks the password."""

    def __init__(self, endpoint: Endpoint, folder: str, policy: Policy) -> None:
        self._endpoint = endpoint
        self._folder = folder
        self._policy = policy

    async def resolve(self, credentials: Credentials) -> Account:
        return Account(self._endpoint, credentials, self._folder, self._policy)
