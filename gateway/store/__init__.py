"""What must survive, and what must be exclusive: the state, in a folder or in a database that machines share."""

from gateway.store.customers import open_customers
from gateway.store.folder import StateFolder, default_folder
from gateway.store.keys import Keys, add_key
from gateway.store.listings import FileListings
from gateway.store.seal import VaultSeal
from gateway.store.state import LEDGER_FILE, State, demand_readable, look_at, open_state
from gateway.store.vault import StoredVault

__all__ = [
    "LEDGER_FILE",
    "FileListings",
    "Keys",
    "State",
    "StateFolder",
    "StoredVault",
    "VaultSeal",
    "add_key",
    "default_folder",
    "demand_readable",
    "look_at",
    "open_customers",
    "open_state",
]
