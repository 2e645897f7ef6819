"""Octets in, events out: whatever comes, in whatever pieces."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pop3 import (
    NEED_DATA,
    Change,
    Command,
    Connection,
    Event,
    Malformed,
    Reply,
    SaslCancelled,
    SaslResponse,
    State,
    challenge,
    err,
    ok,
)
from gateway.pop3.connection import LINE_LIMIT

HELD = LINE_LIMIT + len(b"\r")  # octets of a line that has not ended

# What a session might answer. STLS is refused here: what stands behind it depends on what came with it.
ANSWERS: dict[str, Callable[[Command], Reply]] = {
    "USER": lambda command: ok("send PASS") if command.text else err("no name"),
    "PASS": lambda command: welcome(len(command.text)),
    "AUTH": lambda command: challenge(b"") if command.initial is None else welcome(len(command.initial)),
    "STLS": lambda _: err("TLS is not available here"),
    "QUIT": lambda _: ok("bye", change=Change.CLOSE),
}


def welcome(number: int) -> Reply:
    """Every other login succeeds."""
    if number % 2:
        return ok("welcome", change=Change.MAILDROP_OPEN)
    return err("wrong", "AUTH", change=Change.LOGIN_FAILED)


def plausible(event: Event) -> Reply:
    match event:
        case Command(verb):
            answer = ANSWERS.get(verb)
            return answer(event) if answer else ok()
        case SaslResponse(octets):
            return welcome(len(octets) // 2) if octets else challenge(b"more")
        case SaslCancelled(why):
            return err(why, "AUTH", change=Change.LOGIN_FAILED)
        case Malformed(reply):
            return reply


def events(chunks: Iterable[bytes], connection: Connection | None = None) -> list[Event]:
    """All events of a connection that is fed these chunks, with its bounds looked at on the way."""
    connection = connection or Connection()
    seen: list[Event] = []
    for chunk in chunks:
        connection.receive(chunk)
        while (event := connection.next_event()) is not NEED_DATA:
            seen.append(event)
            reply = plausible(event)
            assert len(reply.head()) <= 512
            assert b"".join(connection.send(reply)).endswith(b"\r\n")
        assert len(connection._buffer) <= HELD
    return seen


COMMANDS = st.sampled_from(
    [
        *(b"USER ann", b"PASS x", b"PASS xy", b"PASS", b"AUTH PLAIN", b"AUTH PLAIN AGEAYg==", b"AUTH", b"STLS"),
        *(b"AGEAYg==", b"YQ==", b"*", b"STAT", b"LIST 1", b"RETR 1", b"TOP 1 2", b"UIDL", b"QUIT", b"CAPA", b""),
    ]
)
LONG = st.builds(
    lambda start, more: start.ljust(LINE_LIMIT + more, b"x"), COMMANDS, st.sampled_from([-1, 0, 1, 999])
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b""])
SHORT = st.one_of(st.builds(lambda line, end: line + end, COMMANDS, ENDS), st.binary(max_size=40))
MIXED = st.one_of(SHORT, SHORT, SHORT, st.builds(lambda line, end: line + end, LONG, ENDS))
SHORT_STREAMS = st.lists(SHORT, max_size=12).map(b"".join)
STREAMS = st.lists(MIXED, max_size=10).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(STREAMS, st.data())
def test_any_octets_in_any_pieces_give_the_same_events(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events(pieces) == events([stream])


@settings(max_examples=60, deadline=None)
@given(SHORT_STREAMS)
def test_octet_by_octet_gives_the_same_events(stream: bytes) -> None:
    assert events(stream[at : at + 1] for at in range(len(stream))) == events([stream])


def test_an_endless_line_is_held_nowhere_and_answered_once() -> None:
    connection = Connection()
    assert events([b"x" * 65_536] * 50, connection) == []
    assert len(connection._buffer) <= HELD
    [answer, after] = events([b"x\r\nCAPA\r\n"], connection)
    assert isinstance(answer, Malformed)
    assert str(LINE_LIMIT) in answer.reply.text
    assert after == Command("CAPA")


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_line_of_just_the_limit_is_read_and_a_longer_one_is_not(end: bytes) -> None:
    line = b"USER ".ljust(LINE_LIMIT, b"n")
    for pieces in ([line + end], [line, end], [line, *(end[at : at + 1] for at in range(len(end)))]):
        [command] = events(pieces)
        assert isinstance(command, Command)
    for pieces in ([line + b"n" + end], [line + b"n", end], [line, b"n", end]):
        [refusal] = events(pieces)
        assert isinstance(refusal, Malformed)


def test_an_endless_sasl_response_cancels_the_exchange() -> None:
    seen = events([b"AUTH PLAIN\r\n", b"A" * (LINE_LIMIT + 1), b"\r\nCAPA\r\n"])
    assert [type(event) for event in seen] == [Command, SaslCancelled, Command]


def test_pipelined_commands_are_read_in_the_state_that_the_reply_leads_to() -> None:
    seen = events([b"USER ann\r\nPASS x\r\nSTAT\r\nQUIT\r\nSTAT\r\n"])
    assert [event.verb for event in seen if isinstance(event, Command)] == ["USER", "PASS", "STAT", "QUIT"]
    failed = events([b"USER ann\r\nPASS xy\r\nSTAT\r\n"])
    assert isinstance(failed[-1], Malformed)


def test_a_bare_lf_ends_a_line_too() -> None:
    assert events([b"CAPA\nCAPA\r\n"]) == [Command("CAPA")] * 2


def test_what_was_pipelined_behind_stls_is_thrown_away() -> None:
    connection = Connection()
    connection.receive(b"STLS\r\nUSER mallory\r\nPASS x\r\nUSE")
    assert connection.next_event() == Command("STLS")
    list(connection.send(ok("begin TLS", change=Change.TLS_STARTS)))
    assert events([b"CAPA\r\n"], connection) == [Command("CAPA")]


def test_quit_after_login_leads_through_update() -> None:
    connection = Connection()
    connection.state = State.TRANSACTION
    connection.receive(b"QUIT\r\nSTAT\r\n")
    assert connection.next_event() == Command("QUIT")
    states = [connection.state]
    list(connection.send(err("some messages may not be removed", change=Change.CLOSE)))
    assert [*states, connection.state] == [State.UPDATE, State.CLOSED]


@pytest.mark.parametrize("rest", [b"", b"STAT\r\n", b"x" * 100_000])
def test_after_the_end_nothing_is_read_and_nothing_is_held(rest: bytes) -> None:
    connection = Connection()
    events([b"QUIT\r\n"], connection)
    assert events([rest, rest], connection) == []
    assert len(connection._buffer) == 0
