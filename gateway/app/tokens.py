"""What stored accounts open, and who gets tokens for those with a provider's grant."""

import contextlib
from collections.abc import Callable, Iterator

from gateway.accounts import USUAL_MECHANISM, Opening
from gateway.app.state import is_there, open_vault, state_of
from gateway.config import Settings
from gateway.errors import NoSuchAccount
from gateway.oauth import Renewals
from gateway.oauth.keeper import PATIENCE_SECONDS, TokenKeeper
from gateway.ports import AccessTokens, Account, LockMode, Vault
from gateway.store import State
from gateway.telemetry.events import Event


def opening_of(settings: Settings, folder: str) -> Opening:
    """`folder` is for accounts that name none."""
    clients = settings.clients()

    def mechanism(provider: str) -> str:
        known = clients.get(provider)  # a grant may outlive its provider's settings
        return known.provider.mechanism if known else USUAL_MECHANISM

    def upstream(provider: str) -> str:
        known = clients.get(provider)
        return known.provider.upstream if known else ""

    master = settings.upstream.master_credentials()
    return Opening(settings.endpoint, folder, settings.maildrop.policy(), master, mechanism, upstream)


def keeper_of(settings: Settings, state: State, vault: Vault, emit: Callable[[Event], None]) -> TokenKeeper:
    locks = state.locks(LockMode.EXCLUSIVE, PATIENCE_SECONDS)
    return TokenKeeper(vault, locks, Renewals(settings.clients()), emit)


@contextlib.contextmanager
def opened_by(settings: Settings, login: str) -> Iterator[tuple[Account, AccessTokens]]:
    """A stored account, for the command line, as a session without an app password's own terms would open it.

    Raises NoSuchAccount, StoredSecretRefused, StateError.
    """
    missing = NoSuchAccount(f"there is no account {login}; `account list` tells which there are")
    if not is_there(settings):
        raise missing
    state = state_of(settings, lambda _: None)
    try:
        vault = open_vault(settings, state)
        stored = None if vault.is_unused else vault.find(login)
        if stored is None:
            raise missing
        opening = opening_of(settings, settings.maildrop.folder)
        yield opening.account(stored), keeper_of(settings, state, vault, lambda _: None)
    finally:
        state.close()
