"""Who has no account here, where that is what it takes."""

from gateway.accounts.app_passwords import SALT_OCTETS, Checker
from gateway.errors import BadCredentials
from gateway.ports import Account, Peer
from gateway.sasl import ITERATIONS, Claim, Credentials, Keyring, Needs
from gateway.threads import Threads

NOBODYS_SALT = bytes(SALT_OCTETS)


class Nobody:
    """Implements ports.Accounts: refuses all, and takes as long for it as for a wrong password."""

    def __init__(self, checker: Checker, threads: Threads, *, readable: bool) -> None:
        """`readable`: passwords are kept so that APOP and CRAM-MD5 can use them."""
        kept = {Needs.SECRET} if readable else set()
        self.offers = frozenset({Needs.PASSWORD, Needs.SCRAM} | kept)
        self._checker = checker
        self._threads = threads

    async def look(self) -> None:
        """It is always the same."""

    async def keyring(self, user: str) -> Keyring:  # noqa: ARG002
        return Keyring(b"", ITERATIONS)

    async def resolve(self, claim: Claim, peer: Peer) -> Account:  # noqa: ARG002
        if isinstance(claim, Credentials):
            await self._threads.run(self._checker.find, claim.secret, NOBODYS_SALT, ())
        raise BadCredentials
