"""A logged-in connection to an IMAP server. Blocking: lives in worker threads."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import (
    BadCredentials,
    MaildropInUse,
    TokenRefused,
    UpstreamRefused,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from gateway.imap import tls
from gateway.imap.client import Client
from gateway.imap.faults import silent_about, translated
from gateway.imap.login import as_sent, log_in
from gateway.imap.transport import BLOCK_OCTETS, Transport
from gateway.ports import AccessTokens, Account, Endpoint, Granted, TlsMode
from gateway.sasl import Bearer, Credentials, Secret

FAREWELL_SECONDS = 5.0
_NOT_TAKEN = (
    "the provider gave this token: is IMAP switched on for this mailbox, was it its owner who signed in, and may"
    " the application use IMAP?"
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    connect: float = 10.0  # to a TCP and TLS connection, and once more to the greeting
    response: float = 60.0  # for the answer to a command, or the next block of a message
    open: float = 80.0  # from the connection to the snapshot: Thunderbird gives up after about 110 s


def connect(endpoint: Endpoint, timeouts: Timeouts) -> Client:
    """A connection, protected as the endpoint demands, not logged in; or to another that has the same mailboxes,
    where it cannot be reached (RFC 2782). Raises UpstreamError.
    """
    faults: list[UpstreamUnreachable] = []
    for each in (endpoint, *endpoint.others):
        try:
            return _connect_to(each, timeouts)
        except UpstreamUnreachable as error:
            faults.append(error)
        except (BadCredentials, MaildropInUse) as error:  # whatever a greeting says, it has heard no name yet
            raise UpstreamRefused(str(error)) from error
    raise type(faults[0])("; ".join(map(str, faults))) from faults[0]


def _connect_to(endpoint: Endpoint, timeouts: Timeouts) -> Client:
    trust = tls.trust(endpoint.ca_file)
    with translated(f"connecting to {endpoint}"):
        transport = Transport.connect(endpoint, trust, timeouts.connect)
        try:
            transport.end_by(timeouts.open)
            transport.allow(timeouts.connect)
            _wait_for_greeting(transport, endpoint)
            transport.allow(timeouts.response)
            client = Client(transport, endpoint)
            if endpoint.tls is TlsMode.STARTTLS:
                client.upgrade(trust)
        except BaseException:
            transport.close()
            raise
        trust.remember(transport.socket, endpoint)
        names = client.offered()
        client.mechanisms = frozenset(name.removeprefix("AUTH=") for name in names if name.startswith("AUTH="))
        return client


def _wait_for_greeting(transport: Transport, endpoint: Endpoint) -> None:
    """A server that begins with TLS waits for us to begin, as an HTTP server does. Raises OSError."""
    try:
        transport.receive()
    except TimeoutError as error:
        hint = "" if endpoint.tls is TlsMode.IMPLICIT else "; if this port begins with TLS, write imaps://"
        raise TimeoutError(f"the server says nothing{hint}") from error


class NoTokens:
    """Implements ports.AccessTokens where nobody asks for any."""

    def bearer(self, granted: Granted, refused: Secret | None = None) -> Bearer:  # noqa: ARG002
        raise UpstreamUnusable(f"there is no way here to get an access token for {granted.login}")


NO_TOKENS = NoTokens()


def connect_and_log_in(account: Account, timeouts: Timeouts, tokens: AccessTokens = NO_TOKENS) -> Client:
    """Raises UpstreamError; BadCredentials, or where a token was granted, what AccessTokens.bearer() raises."""
    claim = account.credentials
    if not isinstance(claim, Granted):
        return _log_in_at(account.endpoint, claim, timeouts)
    bearer = tokens.bearer(claim)
    try:
        return _log_in_at(account.endpoint, bearer, timeouts)
    except BadCredentials as error:
        why = f"{error}; {_NOT_TAKEN}"
    try:  # revoked or expired before its time, perhaps; or it is none of the token's faults
        another = tokens.bearer(claim, bearer.secret)
        return _log_in_at(account.endpoint, another, timeouts)
    except (BadCredentials, TokenRefused) as error:
        raise TokenRefused(why) from error


def _log_in_at(endpoint: Endpoint, claim: Credentials | Bearer, timeouts: Timeouts) -> Client:
    with silent_about(*as_sent(claim)):  # from the greeting on: an earlier login may have told it
        client = connect(endpoint, timeouts)
        try:
            client.transport.allow(timeouts.response)
            log_in(client, claim)
            client.secrets = as_sent(claim)
        except BaseException:
            client.transport.close()
            raise
    return client


def say_goodbye(client: Client) -> None:
    """LOGOUT and close: never CLOSE, which expunges. Does not raise."""
    with contextlib.suppress(Exception):
        if client.at_rest:  # a LOGOUT into the middle of an answer would wait for all the rest of it
            client.transport.allow(FAREWELL_SECONDS)
            client.logout()
    with contextlib.suppress(Exception):
        client.transport.close()


def say_goodbye_to_all(clients: Iterable[Client], seconds: float) -> None:
    """LOGOUT on all of them at once, `seconds` for all together, and close. They are at rest. Does not raise."""
    leaving = list(clients)
    for client in leaving:
        with contextlib.suppress(OSError):
            client.transport.allow(seconds)
            client.transport.send(client.transport.new_tag() + b" LOGOUT\r\n")
    for client in leaving:
        with contextlib.suppress(OSError):  # the end of the stream is one
            while client.transport.read_some(BLOCK_OCTETS):
                pass
        with contextlib.suppress(OSError):
            client.transport.close()
