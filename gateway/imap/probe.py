"""What an upstream can do, for `check`: looked at without changing anything."""

import ssl
from dataclasses import dataclass

from gateway.errors import BadCredentials, UpstreamError
from gateway.imap.client import Client
from gateway.imap.commit import way
from gateway.imap.faults import plain, silent_about, translated
from gateway.imap.link import NO_TOKENS, Timeouts, connect, connect_and_log_in, say_goodbye
from gateway.imap.listing import take_snapshot
from gateway.imap.transport import Transport
from gateway.maildrop import OnDelete, Snapshot
from gateway.ports import AccessTokens, Account, Endpoint

# Exchange's answer to the first command after a login with a token that is good, and not for this mailbox.
_NOT_HIS = "authenticated but not connected"


@dataclass(frozen=True, slots=True)
class Greeting:
    """Before a login."""

    text: str
    protection: str  # "TLSv1.3, TLS_AES_256_GCM_SHA384", or "in clear"
    capabilities: frozenset[str]


@dataclass(frozen=True, slots=True)
class Mailbox:
    """After one."""

    capabilities: frozenset[str]
    snapshot: Snapshot
    on_delete: OnDelete  # what the policy comes to here
    folder: str | None  # where deleted messages go, if they go anywhere
    folder_exists: bool


def greet(endpoint: Endpoint, timeouts: Timeouts) -> Greeting:
    """Connect as a login would, and leave. Raises UpstreamError."""
    client = connect(endpoint, timeouts)
    try:
        greeting = plain(str(client.welcome or b"", "utf-8", "replace").removeprefix("* "))
        return Greeting(greeting, _protection(client.transport), client.offered())
    finally:
        say_goodbye(client)


def look(account: Account, timeouts: Timeouts, tokens: AccessTokens = NO_TOKENS) -> Mailbox:
    """Log in and take a snapshot. Raises as connect_and_log_in() does."""
    client: Client = connect_and_log_in(account, timeouts, tokens)
    try:
        with silent_about(*client.secrets):
            with translated("asking for capabilities"):
                client.transport.allow(timeouts.response)
                capabilities = client.announced()
            snapshot = take_snapshot(client, account.folder, timeouts.open)
            action, folder = way(client, account, timeouts.response)
            with translated(f"looking for {folder}"):
                client.transport.allow(timeouts.response)
                exists = folder is None or bool(client.folder_exists(folder))
            return Mailbox(capabilities, snapshot, action, folder, exists)
    finally:
        say_goodbye(client)


def try_out(account: Account, timeouts: Timeouts) -> None:
    """Log in, open the folder for reading, and leave. Raises BadCredentials or UpstreamError."""
    client = connect_and_log_in(account, timeouts)
    try:
        with silent_about(*client.secrets), translated(f"opening {account.folder}"):
            client.transport.allow(timeouts.response)
            client.select_folder(account.folder, readonly=True)
    except UpstreamError as error:
        if _NOT_HIS in str(error):
            raise BadCredentials(str(error)) from error
        raise
    finally:
        say_goodbye(client)


def _protection(transport: Transport) -> str:
    sock = transport.socket
    if not isinstance(sock, ssl.SSLSocket):
        return "in clear"
    cipher = sock.cipher()
    return f"{sock.version()}, {cipher[0] if cipher else '?'}"
