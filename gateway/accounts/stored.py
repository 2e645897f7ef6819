"""Stored accounts: each device has a password of its own, and the mailbox's real one stays here."""

import contextlib
import time

from gateway.accounts.app_passwords import SALT_OCTETS, Checker
from gateway.accounts.opening import Opening
from gateway.errors import BadCredentials, MisplacedPassword, StateError
from gateway.networks import is_within, network_of
from gateway.ports import Account, Accounts, AppPassword, Peer, StoredAccount, Vault
from gateway.sasl import ITERATIONS, Certified, Claim, Credentials, Keyring, Needs, Proof, Secret, one_spelling
from gateway.threads import Threads

# The time of the last login is kept no finer: a write for each poll would wear a disk out.
USED_STEP_SECONDS = 60.0


class StoredAccounts:
    """Implements ports.Accounts; a name that has no account here is `others'` to judge, and what works for all."""

    def __init__(
        self,
        vault: Vault,
        opening: Opening,
        others: Accounts,
        checker: Checker,
        threads: Threads,
        hashes: Threads,
    ) -> None:
        """`threads` look into the vault. `hashes` are for passwords that were not found right yet: strangers'
        guesses may fill them, and whoever polls as ever waits behind none.
        """
        self._has_readable = False
        self._vault = vault
        self._opening = opening
        self._others = others
        self._threads = threads
        self._hashes = hashes
        self._checker = checker

    @property
    def offers(self) -> frozenset[Needs]:
        """APOP and CRAM-MD5 only where a password is kept that could open with them: clients try them on sight."""
        offered = self._others.offers | {Needs.CERTIFICATE}
        return offered if self._has_readable else offered - {Needs.SECRET}

    async def look(self) -> None:
        if Needs.SECRET in self._others.offers:
            with contextlib.suppress(StateError):
                self._has_readable = await self._threads.run(self._vault.has_readable)

    async def keyring(self, user: str) -> Keyring:
        """A name without an account gets a salt of its own, too, the same each time it asks."""
        stored = await self._find(user)
        if stored is None:
            salt = await self._threads.run(self._vault.stand_in, user)
            return Keyring(salt[:SALT_OCTETS], ITERATIONS)
        return Keyring(stored.salt, ITERATIONS, tuple(password.key for password in stored.passwords))

    async def resolve(self, claim: Claim, peer: Peer) -> Account:
        if isinstance(claim, Certified):
            return self._opening.account(await self._certified(claim))
        stored = await self._find(claim.user)
        if stored is None:
            return await self._others.resolve(claim, peer)
        if isinstance(claim, Credentials):
            password = await self._password(claim.secret, stored)
        elif isinstance(claim, Proof):
            password = next((known for known in stored.passwords if known.name == claim.key), None)
        else:
            raise BadCredentials(text="this account takes an app password, no token")
        if password is None:
            raise BadCredentials
        if claim.authorization:
            raise BadCredentials(text="logging in as somebody else is not offered here")
        _demand_valid(password, peer)
        await self._note_used(stored, password)
        return self._opening.account(stored, password)

    async def _password(self, secret: Secret, stored: StoredAccount) -> AppPassword | None:
        known = self._checker.known(secret, stored.passwords)
        return known or await self._hashes.run(self._checker.find, secret, stored.salt, stored.passwords)

    async def _certified(self, claim: Certified) -> StoredAccount:
        """RFC 4422 appendix A: a client that does not say who it wants to be is who the certificate says."""
        wanted = one_spelling(claim.authorization)
        names = [name for name in claim.names if not wanted or one_spelling(name) == wanted]
        if not names:
            raise BadCredentials(text="the certificate is not for this name")
        for name in names:
            if (stored := await self._find(name)) is not None:
                return stored
        raise BadCredentials(
            f"no account is called {' or '.join(names)}", text="the certificate opens no account here"
        )

    async def _find(self, login: str) -> StoredAccount | None:
        return None if self._vault.is_unused else await self._threads.run(self._vault.find, login)

    async def _note_used(self, stored: StoredAccount, password: AppPassword) -> None:
        now = time.time()
        if now - password.used > USED_STEP_SECONDS:
            await self._threads.run(self._vault.note_used, stored.login, password.name, now)


def _demand_valid(password: AppPassword, peer: Peer) -> None:
    """Only who has the password is told why it does not open."""
    if password.expires and password.expires <= time.time():
        raise MisplacedPassword(f"the password {password.name} has expired", text="this password has expired")
    if password.networks and not is_within(peer.address, map(network_of, password.networks)):
        raise MisplacedPassword(
            f"the password {password.name} is not for {peer.address}", text="this password is not for this network"
        )
