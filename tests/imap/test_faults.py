"""Everything that can go wrong on the way to a server, translated once."""

import imaplib
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient.exceptions import IMAPClientReadOnlyError, LoginError, ProtocolError

from gateway.errors import (
    BadCredentials,
    GatewayError,
    MaildropInUse,
    MessageGone,
    UpstreamDeclined,
    UpstreamError,
    UpstreamFull,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from gateway.imap.faults import plain, refusal, translated


def becomes(error: BaseException) -> GatewayError:
    with pytest.raises(GatewayError) as caught, translated("doing this"):
        raise error
    return caught.value


def tls(kind: type[ssl.SSLError]) -> ssl.SSLError:
    """With what the ssl module adds to its exceptions."""
    error = kind(1, "the words")
    error.reason = "THE_WORDS"
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message, error.verify_code = "self-signed certificate", 18
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (tls(ssl.SSLCertVerificationError), UpstreamUnusable),
        (TimeoutError("timed out"), UpstreamSilent),
        (tls(ssl.SSLError), UpstreamUnreachable),
        (tls(ssl.SSLEOFError), UpstreamUnreachable),
        (socket.gaierror(-2, "Name or service not known"), UpstreamUnreachable),
        (ConnectionRefusedError(111, "Connection refused"), UpstreamUnreachable),
        (ConnectionResetError(104, "Connection reset by peer"), UpstreamUnreachable),
        (BrokenPipeError(32, "Broken pipe"), UpstreamUnreachable),
        (OSError(113, "No route to host"), UpstreamUnreachable),
        (imaplib.IMAP4.abort("socket error: EOF"), UpstreamUnreachable),
        (IMAPClientReadOnlyError("INBOX is not writable"), UpstreamUnreachable),
        (imaplib.IMAP4.error("fetch failed: no"), UpstreamDeclined),
        (LoginError("no"), UpstreamDeclined),
        (ProtocolError("nonsense"), UpstreamDeclined),
        (ValueError("invalid literal for int()"), UpstreamError),
        (UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"), UpstreamError),
        (KeyError("EXISTS"), UpstreamError),
        (IndexError("list index out of range"), UpstreamError),
        (OverflowError("unsigned int is greater than maximum"), UpstreamError),
        (TypeError("NoneType"), UpstreamError),
        (AttributeError("NoneType"), UpstreamError),
        (RecursionError("maximum recursion depth exceeded"), UpstreamError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_foreign_exception_becomes_one_of_ours(error: Exception, kind: type[GatewayError]) -> None:
    made = becomes(error)
    assert type(made) is kind
    assert str(made).startswith("doing this: ")
    assert made.__cause__ is error


def test_one_of_ours_stays_what_it_is() -> None:
    gone = MessageGone("UID 7")
    assert becomes(gone) is gone


def test_a_bug_of_ours_is_not_hidden() -> None:
    with pytest.raises(AssertionError), translated("doing this"):
        raise AssertionError


CODES = [
    *(("UNAVAILABLE", UpstreamRefused), ("SERVERBUG", UpstreamRefused), ("LIMIT", UpstreamRefused)),
    *(("OVERQUOTA", UpstreamRefused), ("THROTTLED", UpstreamRefused), ("INUSE", MaildropInUse)),
    *(("AUTHENTICATIONFAILED", BadCredentials), ("AUTHORIZATIONFAILED", BadCredentials)),
    *(("EXPIRED", BadCredentials), ("PRIVACYREQUIRED", UpstreamUnusable), ("CONTACTADMIN", UpstreamUnusable)),
    *(("NOPERM", UpstreamUnusable), ("NONEXISTENT", UpstreamUnusable), ("CANNOT", UpstreamUnusable)),
]


@pytest.mark.parametrize(("code", "kind"), CODES)
@pytest.mark.parametrize(
    "answer", ["[{}] words", "[{} https://example.com/help 1] words", "words [{}]", "b'[{}] words'"]
)
def test_a_response_code_says_what_a_no_means(code: str, kind: type[GatewayError], answer: str) -> None:
    for spelt in (code, code.lower()):
        assert type(refusal(answer.format(spelt), "detail", default=UpstreamError)) is kind


@pytest.mark.parametrize(("code", "kind"), [("CONTACTADMIN", UpstreamUnusable), ("INUSE", MaildropInUse)])
@pytest.mark.parametrize(
    "printed", ["SELECT command error: BAD [b'[{}] words']", "[b'[{}] words']", "select failed: [{}] words"]
)
def test_a_code_is_found_however_imaplib_prints_it(code: str, kind: type[GatewayError], printed: str) -> None:
    assert type(becomes(imaplib.IMAP4.error(printed.format(code)))) is kind


@pytest.mark.parametrize(
    "words",
    [
        "Too many simultaneous connections. (Failure)",
        "[ALERT] Too many simultaneous connections. (Failure)",
        "Error: Too many connections from 10.0.0.1",
        "Too many open connections for this user",
        "* BYE Maximum connection limit reached for ::ffff:10.0.0.1.",
        "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        "[UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        "[LIMIT] Too many connections",
    ],
)
def test_words_tell_a_full_house_where_no_code_says_more(words: str) -> None:
    assert type(refusal(words, "detail", default=BadCredentials)) is UpstreamFull


@pytest.mark.parametrize(
    "words",
    [
        "Temporary authentication failure.",
        "Login failed, try again later",
        "Server Busy",
        "User is authenticated but not connected.",
        "[UNAVAILABLE] the user database is down",
    ],
)
def test_and_what_may_pass_from_a_wrong_password(words: str) -> None:
    assert type(refusal(words, "detail", default=BadCredentials)) is UpstreamRefused


def test_a_code_that_blames_the_password_is_believed_whatever_the_words() -> None:
    answer = "[AUTHENTICATIONFAILED] Too many connections with a wrong password"
    assert type(refusal(answer, "detail", default=UpstreamRefused)) is BadCredentials


@pytest.mark.parametrize(
    "words",
    [
        "",
        "Authentication failed.",
        "LOGIN failed.",
        "[ALERT] Invalid credentials (Failure)",
        "[X-UNKNOWN] no",
        "[",
        "[]",
    ],
)
def test_anything_else_is_what_the_caller_takes_it_for(words: str) -> None:
    assert type(refusal(words, "detail", default=BadCredentials)) is BadCredentials
    assert type(refusal(words, "detail", default=UpstreamError)) is UpstreamError


@given(st.text())
def test_a_servers_words_are_printable_and_not_long(text: str) -> None:
    assert plain(text).isprintable()
    assert len(plain(text)) <= 202
