"""Everything that can go wrong on the way to an IMAP server, translated once into the gateway's errors."""

import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Iterator

from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from gateway.errors import (
    BadCredentials,
    GatewayError,
    MaildropInUse,
    UpstreamDeclined,
    UpstreamError,
    UpstreamFull,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
    UpstreamUnusable,
)

# RFC 5530 section 3, and what providers say in the same place.
_CODES: dict[str, type[GatewayError]] = {
    "UNAVAILABLE": UpstreamRefused,
    "SERVERBUG": UpstreamRefused,
    "LIMIT": UpstreamRefused,
    "OVERQUOTA": UpstreamRefused,
    "THROTTLED": UpstreamRefused,  # Gmail
    "PRIVACYREQUIRED": UpstreamUnusable,
    "CONTACTADMIN": UpstreamUnusable,
    "NOPERM": UpstreamUnusable,
    "NONEXISTENT": UpstreamUnusable,
    "TRYCREATE": UpstreamUnusable,
    "CANNOT": UpstreamUnusable,
    # What follows is said of logins; said of anything later, mailbox.py takes it for a refusal.
    "INUSE": MaildropInUse,
    "AUTHENTICATIONFAILED": BadCredentials,
    "AUTHORIZATIONFAILED": BadCredentials,
    "EXPIRED": BadCredentials,
    "WEBALERT": BadCredentials,  # Gmail: the account's owner must sign in with a browser first
}

# Where a provider has no code for it, its words tell a full house from a wrong password.
_WORDS: tuple[tuple[re.Pattern[str], type[GatewayError]], ...] = (
    (re.compile(r"too many (\w+ )?connections", re.IGNORECASE), UpstreamFull),  # Gmail, Cyrus, Courier
    (re.compile(r"maximum (number of connections|connection limit)", re.IGNORECASE), UpstreamFull),  # Dovecot
    (re.compile(r"temporar(y|ily)|try again later|server (is )?busy", re.IGNORECASE), UpstreamRefused),
    (re.compile(r"authenticated but not connected", re.IGNORECASE), UpstreamRefused),  # Exchange
    # Exchange, and what RFC 6750 section 3.1 calls it; said of anything later, a new token may help.
    (re.compile(r"access ?token ?(has )?expired|invalid_token", re.IGNORECASE), BadCredentials),
)

# The most specific first: what a foreign exception means, and how the log says it.
_EXCEPTIONS: tuple[tuple[type[BaseException], type[UpstreamError], str], ...] = (
    (ssl.SSLCertVerificationError, UpstreamUnusable, "the server's certificate is not trusted"),
    (TimeoutError, UpstreamSilent, "no answer in time"),
    (ssl.SSLError, UpstreamUnreachable, "TLS failed"),
    (socket.gaierror, UpstreamUnreachable, "the host name cannot be resolved"),
    (ConnectionRefusedError, UpstreamUnreachable, "the connection was refused"),
    (OSError, UpstreamUnreachable, "the connection failed"),
    (IMAPClientAbortError, UpstreamUnreachable, "the connection ended"),
    (imaplib.IMAP4.abort, UpstreamUnreachable, "the connection ended"),
    (IMAPClientError, UpstreamDeclined, "the server refused"),
    (imaplib.IMAP4.error, UpstreamDeclined, "the server refused"),
    # imaplib and IMAPClient parse with split() and int(): an answer outside the grammar ends in one of these.
    (ValueError, UpstreamError, "the answer makes no sense"),
    (LookupError, UpstreamError, "the answer makes no sense"),
    (ArithmeticError, UpstreamError, "a number is out of range"),
    (TypeError, UpstreamError, "the answer makes no sense"),
    (AttributeError, UpstreamError, "the answer makes no sense"),
    (RecursionError, UpstreamError, "the answer makes no sense"),  # a thousand parentheses
)

_TLS_REASONS = {
    "WRONG_VERSION_NUMBER": "this port does not begin with TLS; imaps:// is wrong here, imap:// may be right",
    "UNSUPPORTED_PROTOCOL": "the server's TLS is older than 1.2",
    "UNEXPECTED_EOF_WHILE_READING": "the server closed the connection within the handshake",
}

# OpenSSL's numbers (x509_vfy.h): what is wrong with a certificate, and what to do about it.
_TRUST_HINTS = (
    ({18, 19, 20, 21}, "; is it of a private authority? Set upstream.ca_file"),
    ({62, 64}, "; write a name that the certificate bears into upstream"),
)

_CODE = re.compile(r"\[([A-Z][A-Z0-9-]*)(?=[ \]])", re.IGNORECASE)  # not the [b' that imaplib makes of a list
_TELLING = 4  # characters of a secret in a row; any four of a token's thousands may well be in a harmless word
_LONG, _TELLING_OF_LONG = 64, 12
_TEXT_OCTETS = 200  # of a server's own words that are passed on


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Within, foreign exceptions become GatewayErrors whose detail begins with what was being done."""
    try:
        yield
    except GatewayError:
        raise
    except Exception as error:
        for kind, becomes, words in _EXCEPTIONS:
            if isinstance(error, kind):
                detail = f"{doing}: {words}: {_said(error)}"
                if becomes is UpstreamDeclined:  # a NO that came as an exception is sorted as one that did not
                    raise refusal(str(error), detail, default=becomes) from error
                raise becomes(detail) from error
        raise


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = next((hint for codes, hint in _TRUST_HINTS if error.verify_code in codes), "")
        return error.verify_message.rstrip(".") + hint
    if isinstance(error, ssl.SSLError):
        return _TLS_REASONS.get(error.reason or "", plain(str(error.reason or error)))
    return plain(str(error))


def refusal(answer: str, detail: str, *, default: type[GatewayError]) -> GatewayError:
    """The error for a NO or BAD whose text is `answer`."""
    kind = next((_CODES[code] for code in map(str.upper, _CODE.findall(answer)) if code in _CODES), None)
    if kind in (None, UpstreamRefused):  # a code that only says "not now" leaves the reason to the words
        kind = next((becomes for words, becomes in _WORDS if words.search(answer)), kind)
    return (kind or default)(detail)


@contextlib.contextmanager
def silent_about(*secrets: str) -> Iterator[None]:
    """Within, an error that repeats any part of these keeps its kind and loses its detail.

    Servers do send back the line that they did not understand: quoted, cut, or in another encoding.
    """
    try:
        yield
    except GatewayError as error:
        told = str(error)
        if any(part in told for secret in secrets for part in _parts(secret)):
            raise type(error)("the server's answer repeats the password, so it is not shown") from None
        raise


def _parts(secret: str) -> Iterator[str]:
    telling = _TELLING if len(secret) < _LONG else _TELLING_OF_LONG
    return (secret[at : at + telling] for at in range(max(len(secret) - telling, 0) + 1))


def plain(text: str) -> str:
    """A server's words, safe for a log line: printable and not long."""
    words = "".join(character if character.isprintable() else " " for character in text)
    return words if len(words) <= _TEXT_OCTETS else words[:_TEXT_OCTETS] + " …"
