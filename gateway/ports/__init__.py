"""What a session asks of the rooms around it, and the frozen values that cross between them.

`accounts`, `imap` and `store` implement these Protocols without importing `session`; only `app` knows which
class stands behind which Protocol.
"""

from gateway.ports.accounts import (
    Account,
    Accounts,
    AppPassword,
    Channel,
    Destination,
    Directory,
    Doorkeeper,
    Endpoint,
    Peer,
    Seal,
    StoredAccount,
    TlsMode,
    Vault,
    Visit,
)
from gateway.ports.grants import (
    AccessTokens,
    Grant,
    Granted,
    Invitation,
    Invitations,
    Registration,
    Renewal,
    Renewer,
    Tokens,
)
from gateway.ports.mailboxes import Body, Mailbox, Mailboxes, Upstream, believe, forget_copied
from gateway.ports.services import Services, Terms
from gateway.ports.state import Deadlines, Ledger, Listings, LockMode, Locks, LoginDelay, MaildropLock

__all__ = [
    "AccessTokens",
    "Account",
    "Accounts",
    "AppPassword",
    "Body",
    "Channel",
    "Deadlines",
    "Destination",
    "Directory",
    "Doorkeeper",
    "Endpoint",
    "Grant",
    "Granted",
    "Invitation",
    "Invitations",
    "Ledger",
    "Listings",
    "LockMode",
    "Locks",
    "LoginDelay",
    "Mailbox",
    "Mailboxes",
    "MaildropLock",
    "Peer",
    "Registration",
    "Renewal",
    "Renewer",
    "Seal",
    "Services",
    "StoredAccount",
    "Terms",
    "TlsMode",
    "Tokens",
    "Upstream",
    "Vault",
    "Visit",
    "believe",
    "forget_copied",
]
