"""The command table: which command is legal when, with what behind it, and what is said when it is not."""

import base64

import pytest

from gateway.pop3 import Command, Malformed, SaslCancelled, SaslResponse, State
from gateway.pop3.commands import COMMANDS, read_command, read_sasl_response

BEFORE = {"USER", "PASS", "STLS", "AUTH", "APOP"}
BOTH = {"CAPA", "QUIT"}
AFTER = set(COMMANDS) - BEFORE - BOTH


def said(event: Command | Malformed) -> str:
    assert isinstance(event, Malformed)
    assert event.reply.status == "-ERR"
    return event.reply.text


def test_the_table_has_every_command_and_no_other() -> None:
    minimal = {"USER", "PASS", "STAT", "LIST", "RETR", "DELE", "NOOP", "RSET", "QUIT", "TOP", "UIDL"}
    assert set(COMMANDS) == minimal | {"LAST", "CAPA", "STLS", "AUTH", "APOP"}


@pytest.mark.parametrize(
    ("line", "state", "command"),
    [
        (b"STAT", State.TRANSACTION, Command("STAT")),
        (b"stat", State.TRANSACTION, Command("STAT")),
        (b"StAt ", State.TRANSACTION, Command("STAT")),
        (b"LIST", State.TRANSACTION, Command("LIST")),
        (b"LIST 7", State.TRANSACTION, Command("LIST", (7,))),
        (b"LIST  007 ", State.TRANSACTION, Command("LIST", (7,))),
        (b"UIDL 1", State.TRANSACTION, Command("UIDL", (1,))),
        (b"RETR 0", State.TRANSACTION, Command("RETR", (0,))),  # well formed; that there is none is said later
        (b"DELE 999999999999999999", State.TRANSACTION, Command("DELE", (999999999999999999,))),
        (b"TOP 1 0", State.TRANSACTION, Command("TOP", (1, 0))),
        (b"TOP 1 99999999", State.TRANSACTION, Command("TOP", (1, 99999999))),
        (b"USER ann", State.AUTHORIZATION, Command("USER", text="ann")),
        (b"CAPA", State.AUTHORIZATION, Command("CAPA")),
        (b"CAPA", State.TRANSACTION, Command("CAPA")),
        (b"QUIT", State.AUTHORIZATION, Command("QUIT")),
        (b"QUIT", State.TRANSACTION, Command("QUIT")),
    ],
)
def test_a_legal_line_is_a_command(line: bytes, state: State, command: Command) -> None:
    assert read_command(line, state) == command


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        (b"a b", "a b"),
        (b" leading", " leading"),
        (b"trailing ", "trailing "),
        (b"  ", "  "),
        (b"\tx\x0b", "\tx\x0b"),
        (b'quo"te\\', 'quo"te\\'),
        ("pässwörd".encode(), "pässwörd"),
        ("pässwörd".encode("latin-1"), "pässwörd"),
        (b"", ""),
    ],
)
@pytest.mark.parametrize("verb", ["USER", "PASS"])
def test_a_name_and_a_password_are_all_that_follows_the_one_space(verb: str, argument: bytes, text: str) -> None:
    assert read_command(verb.encode() + b" " + argument, State.AUTHORIZATION) == Command(verb, text=text)


@pytest.mark.parametrize("line", [b"USER", b"PASS", b"USER a\0b", b"PASS \0"])
def test_a_name_or_password_is_there_and_has_no_nul(line: bytes) -> None:
    assert "takes a" in said(read_command(line, State.AUTHORIZATION))


@pytest.mark.parametrize(
    "line",
    [
        *(b"STAT 1", b"NOOP x", b"RSET 1", b"LAST 1", b"QUIT now", b"CAPA x"),
        *(b"LIST x", b"LIST -1", b"LIST 1 2", b"LIST +1", b"LIST 1.0", b"LIST 0x1", b"LIST 1_000"),
        *(b"LIST \xd9\xa1", b"LIST 1" + b"0" * 18),
        *(b"RETR", b"RETR ", b"RETR 1 2", b"RETR one"),
        *(b"DELE", b"DELE 1 2", b"DELE *"),
        *(b"TOP", b"TOP 1", b"TOP 1 2 3", b"TOP 1 -1", b"TOP 1 x"),
        *(b"UIDL 1 2", b"UIDL x"),
    ],
)
def test_a_wrong_argument_is_told_the_usage(line: bytes) -> None:
    verb = line.split()[0].decode()
    assert said(read_command(line, State.TRANSACTION)).startswith(f"{verb} takes ")


@pytest.mark.parametrize("verb", sorted(AFTER))
def test_what_needs_a_maildrop_is_refused_before_the_login(verb: str) -> None:
    assert said(read_command(verb.encode(), State.AUTHORIZATION)) == f"{verb} is for after the login"


@pytest.mark.parametrize("verb", sorted(BEFORE))
def test_what_logs_in_is_refused_after_the_login(verb: str) -> None:
    assert said(read_command(verb.encode() + b" x", State.TRANSACTION)) == f"{verb} is for before the login"


@pytest.mark.parametrize("line", [b"XTND", b"XTND XMIT", b"A1"])
def test_an_unknown_command_is_named(line: bytes) -> None:
    assert said(read_command(line, State.TRANSACTION)).startswith(f"unknown command {line.split()[0].decode()};")


@pytest.mark.parametrize("line", [b"", b" STAT", b"STAT\t", b"\xff\xfe", b"\x16\x03\x01\x02", b"x" * 17, b"a\rb"])
def test_what_is_no_command_at_all_is_not_quoted(line: bytes) -> None:
    assert said(read_command(line, State.TRANSACTION)).startswith("that is no POP3 command;")


# AUTH


def test_auth_alone_asks_for_the_mechanisms() -> None:
    assert read_command(b"AUTH", State.AUTHORIZATION) == Command("AUTH")


@pytest.mark.parametrize(
    ("line", "initial"),
    [
        (b"AUTH plain", None),
        (b"AUTH  PLAIN ", None),
        (b"AUTH PLAIN AGEAYg==", b"\0a\0b"),
        (b"AUTH PLAIN =", b""),
        (b"AUTH PLAIN " + base64.b64encode(b"x" * 9000), b"x" * 9000),
    ],
)
def test_auth_takes_a_mechanism_and_perhaps_an_initial_response(line: bytes, initial: bytes | None) -> None:
    assert read_command(line, State.AUTHORIZATION) == Command("AUTH", text="PLAIN", initial=initial)


@pytest.mark.parametrize("line", [b"AUTH PLAIN !", b"AUTH PLAIN AGEAYg", b"AUTH PLAIN a b", b"AUTH PLAIN \xff==="])
def test_an_initial_response_that_is_no_base64_is_told_the_usage(line: bytes) -> None:
    assert said(read_command(line, State.AUTHORIZATION)).startswith("AUTH takes a mechanism")


def test_a_sasl_response_is_base64_and_may_be_empty() -> None:
    assert read_sasl_response(b"AGEAYg==") == SaslResponse(b"\0a\0b")
    assert read_sasl_response(b"") == SaslResponse(b"")
    assert read_sasl_response(b"=") == SaslResponse(b"")  # curl


@pytest.mark.parametrize("line", [b"*", b"!", b"QUIT!", b"AGEAYg", b" AGEAYg==", b"\xff"])
def test_a_sasl_exchange_is_cancelled_by_a_star_and_by_what_is_no_base64(line: bytes) -> None:
    assert isinstance(read_sasl_response(line), SaslCancelled)


# Secrets


@pytest.mark.parametrize(
    "event",
    [
        read_command(b"PASS hunter2", State.AUTHORIZATION),
        read_command(b"AUTH PLAIN aHVudGVyMg==", State.AUTHORIZATION),
        read_sasl_response(b"aHVudGVyMg=="),
        read_command(b"PASS hunter2", State.TRANSACTION),
    ],
)
def test_an_event_with_a_password_does_not_print_it(event: object) -> None:
    assert "hunter2" not in f"{event} {event!r}"
