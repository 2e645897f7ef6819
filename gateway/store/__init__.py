"""What must survive, and what must be exclusive: the state folder."""

from gateway.store.folder import StateFolder
from gateway.store.ledger import SqliteLedger
from gateway.store.listings import FileListings
from gateway.store.locks import FileLocks
from gateway.store.login_delay import FileLoginDelay

__all__ = ["FileListings", "FileLocks", "FileLoginDelay", "SqliteLedger", "StateFolder"]
