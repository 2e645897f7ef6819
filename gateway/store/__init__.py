"""What must survive, and what must be exclusive: the state folder."""

from gateway.store.folder import StateFolder
from gateway.store.ledger import SqliteLedger
from gateway.store.locks import FileLocks
from gateway.store.login_delay import FileLoginDelay

__all__ = ["FileLocks", "FileLoginDelay", "SqliteLedger", "StateFolder"]
