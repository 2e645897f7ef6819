"""Mailboxes with a memory: promises to delete are kept, sizes corrected, and a mailbox that shrank is doubted.

A layer between the session and the upstream, of the same shape as the upstream's (ports.Mailboxes): what it adds
is the ledger. The order of things at QUIT is what makes it safe. The intent is durable first, then the upstream is
changed, then the client is answered, then the promise is fulfilled: whatever breaks in between, a message whose
deletion was answered with +OK is in no later snapshot, and no other is ever deleted.

What the upstream could not do is tried again at the end of the next session, when no client waits for it.
"""

from gateway.remembered.login import RememberedMailboxes
from gateway.remembered.page import Rooms

__all__ = ["RememberedMailboxes", "Rooms"]
