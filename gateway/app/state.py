"""What survives: the state that the settings name, and the accounts in it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.config import OwnSettings
from gateway.ports import Vault
from gateway.store import KeyFile, State, StateFolder, StoredVault, add_key, has_accounts, look_at, open_state
from gateway.telemetry.events import Event, StateReplaced

KEY_FILE = "vault.keys"


def state_of(settings: OwnSettings, emit: Callable[[Event], None]) -> State:
    """Raises SettingsError and StateError."""
    return open_state(settings.folder, settings.database, lambda file: emit(StateReplaced(file)))


def is_there(settings: OwnSettings) -> bool:
    """Whether there can be accounts in it: a folder that is missing is not made to find out. Raises StateError."""
    return bool(settings.database) or has_accounts(settings.folder)


def look_at_state(settings: OwnSettings) -> str | None:
    """What a shared one says of itself; and the accounts can be read. Raises SettingsError and StateError."""
    said, is_made = look_at(settings.database) if settings.database else (None, has_accounts(settings.folder))
    if is_made:
        with vault_of(settings) as vault:
            vault.prove_keys()
    return said


def open_vault(settings: OwnSettings, state: State) -> StoredVault:
    """The accounts. Nothing is made before there is to be one."""
    configured = settings.accounts
    keys = configured.keys.get_secret_value() if configured.keys else None
    return state.vault(KeyFile(keys, _key_file(settings, state.folder)).keys)


@contextlib.contextmanager
def vault_of(settings: OwnSettings) -> Iterator[Vault]:
    """For the command line, beside a gateway that runs or not. Raises StateError."""
    state = state_of(settings, lambda _: None)
    try:
        yield open_vault(settings, state)
    finally:
        state.close()


def rotate_keys(settings: OwnSettings) -> Iterator[int]:
    """A new key, where they are in a file, and all secrets encrypted with the first one; see ports.Vault.

    Raises StateError.
    """
    if not settings.accounts.keys:
        folder = StateFolder(settings.folder)
        with folder.alone():  # two would each lose the other's key
            add_key(_key_file(settings, folder))
    with vault_of(settings) as vault:
        yield from vault.rotate()


def _key_file(settings: OwnSettings, folder: StateFolder) -> Path:
    return settings.accounts.key_file or folder.path / KEY_FILE
