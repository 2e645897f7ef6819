"""All of it, as a session gets it."""

from dataclasses import dataclass

from gateway.ports.accounts import Accounts, Doorkeeper
from gateway.ports.mailboxes import Mailboxes
from gateway.ports.state import Locks, LoginDelay


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms behind a session."""

    accounts: Accounts
    mailboxes: Mailboxes
    locks: Locks
    login_delay: LoginDelay
    doorkeeper: Doorkeeper


@dataclass(frozen=True, slots=True)
class Terms:
    """What this connection may do, and how failed logins are met."""

    host: str  # what this server calls itself
    tls_available: bool  # STLS can be had
    allow_plaintext: bool  # a password in clear may cross this connection
    login_attempts: int  # failed ones, then the connection is closed
    failure_delay: float  # seconds before the first -ERR, doubled with each further one
