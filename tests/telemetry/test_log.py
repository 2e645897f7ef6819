"""Events as lines in the log."""

import io
import json
from contextvars import copy_context
from dataclasses import dataclass, fields
from select import PIPE_BUF
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sasl import Credentials, Secret
from gateway.telemetry import Event, Log, events, session_id
from gateway.telemetry.events import ConnectionOpened, Crashed, LoggedIn, LoginFailed, SignedIn, Stopped

FAILED = LoginFailed("ann", "192.0.2.1", "AUTH", "the login was refused")
ANY_TEXT = st.text(st.characters(), max_size=30)
FORGERIES = [
    'ann\n{"event": "logged in"}',
    "ann\r\nlogged in",
    "ann\x1b[2K\x1b[1A",
    "ann\x00\x07\x08\x7f",
    "ann\x85\x9b2K",
    "ann\u2028logged in",
    "\u202eecila",
    "ann\udc80",
    '"ann", "level": "info',
]


def lines(event: Event, format: str = "json", level: str = "debug") -> list[str]:  # noqa: A002
    stream = io.StringIO()
    Log(level, format, stream).emit(event)
    return stream.getvalue().splitlines()


def as_json(event: Event) -> dict[str, Any]:
    [line] = lines(event)
    made: dict[str, Any] = json.loads(line)
    return made


def test_a_json_line_has_the_event_its_level_its_time_and_its_fields() -> None:
    line = as_json(FAILED)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "login failed",
        "level": "warning",
        "user": "ann",
        "address": "192.0.2.1",
        "code": "AUTH",
        "error": "the login was refused",
    }


def test_numbers_and_truths_stay_what_they_are() -> None:
    line = as_json(LoggedIn("ann", "192.0.2.1", "TLSv1.3", 7, 10**12))
    assert (line["messages"], line["octets"]) == (7, 10**12)
    assert as_json(SignedIn("ann", "google", "192.0.2.1", new_account=True))["new_account"] is True


def test_a_console_line_is_for_people() -> None:
    [line] = lines(FAILED, "console")
    assert "login failed" in line
    assert "user=ann" in line
    assert "warning" in line
    assert "\x1b" not in line


def test_without_a_terminal_auto_is_json() -> None:
    assert json.loads(lines(FAILED, "auto")[0])["user"] == "ann"


def test_on_a_terminal_auto_is_console() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    Log("info", "auto", stream).emit(FAILED)
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize(("level", "shown"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_only_what_matters_enough_is_logged(level: str, shown: int) -> None:
    each: list[Event] = [ConnectionOpened("192.0.2.1", "pop3://h"), Stopped(), FAILED]
    assert sum(len(lines(event, "json", level)) for event in each) == shown


def test_a_line_bears_the_session_that_caused_it() -> None:
    def within() -> dict[str, Any]:
        session_id.set("1a2b3c4d")
        return as_json(FAILED)

    assert copy_context().run(within)["session"] == "1a2b3c4d"
    assert "session" not in as_json(FAILED)


# Several processes


def test_a_workers_lines_bear_its_number() -> None:
    stream = io.StringIO()
    Log("info", "json", stream, worker=3).emit(FAILED)
    assert json.loads(stream.getvalue())["worker"] == 3
    assert "worker" not in as_json(FAILED)


def test_a_line_is_one_write() -> None:
    class Writes(io.StringIO):
        count = 0

        def write(self, text: str) -> int:
            self.count += 1
            return super().write(text)

    stream = Writes()
    Log("info", "json", stream).emit(FAILED)
    assert stream.count == 1
    assert stream.getvalue().endswith("}\n")


@given(st.text(max_size=3000), st.text(max_size=3000), st.sampled_from(["utf-8", "ascii", "latin-1"]))
def test_a_workers_line_goes_undivided_through_a_pipe(user: str, error: str, encoding: str) -> None:
    for format in ("json", "console"):  # noqa: A001
        octets = io.BytesIO()
        stream = io.TextIOWrapper(octets, encoding, errors="backslashreplace")
        Log("info", format, stream, worker=1).emit(LoginFailed(user * 3, "192.0.2.1", "AUTH", error))
        assert len(octets.getvalue()) <= PIPE_BUF
        assert octets.getvalue().count(b"\n") == 1


def test_of_a_traceback_that_is_too_long_the_beginning_and_the_end_are_kept() -> None:
    stream = io.StringIO()
    Log("info", "json", stream, worker=1).emit(Crashed("KeyError('x')", "first" + "x" * 9000 + "last"))
    line = json.loads(stream.getvalue())
    assert line["error"] == "KeyError('x')"
    assert line["traceback"].startswith("firstx")
    assert line["traceback"].endswith("xlast")
    assert len(stream.getvalue()) > PIPE_BUF / 2


# Strangers


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("format", ["json", "console"])
def test_a_name_from_a_stranger_cannot_forge_a_line(name: str, format: str) -> None:  # noqa: A002
    [line] = lines(LoginFailed(name, "192.0.2.1", "AUTH", name), format)
    assert line.isprintable()


@pytest.mark.parametrize("name", ["ann code=", "ann level=info", "ann address=10.0.0.1", "ann  user=bob"])
def test_nor_a_field_on_the_console(name: str) -> None:
    [line] = lines(LoginFailed(name, "192.0.2.1", "AUTH", "no"), "console")
    assert f"user={name} " not in line
    assert name in line


@given(ANY_TEXT)
def test_any_text_becomes_one_printable_line(text: str) -> None:
    for format in ("json", "console"):  # noqa: A001
        [line] = lines(LoginFailed(text, text, text, text), format)
        assert line.isprintable()
        line.encode()


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_printable_text_is_not_changed(text: str) -> None:
    assert as_json(LoginFailed(text, "", "", ""))["user"] == text


def test_a_traceback_is_one_line() -> None:
    [line] = lines(Crashed("KeyError('x')", 'Traceback\n  File "x"\nKeyError: x\n'))
    assert json.loads(line)["traceback"] == 'Traceback\\n  File "x"\\nKeyError: x\\n'


# Secrets


def test_a_secret_that_got_into_an_event_is_hidden() -> None:
    @dataclass(frozen=True, slots=True)
    class Careless(Event):
        name = "careless"
        credentials: Credentials
        secret: Secret

    event = Careless(Credentials("ann", Secret("hunter2")), Secret("hunter2"))
    for format in ("json", "console"):  # noqa: A001
        assert "hunter2" not in "".join(lines(event, format))


KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]


def test_no_field_of_an_event_is_named_like_a_secret() -> None:
    words = ("password", "passwd", "secret", "token", "credential", "key", "response", "initial")
    found = [
        f"{kind.__name__}.{field.name}"
        for kind in KINDS
        for field in fields(kind)
        if any(word in field.name.lower() for word in words)
    ]
    assert not found


def test_every_event_has_a_name_of_its_own_and_a_level() -> None:
    names = [kind.name for kind in KINDS if kind is not Event]
    assert len(set(names)) == len(names) > 10
    assert {kind.level for kind in KINDS} <= {"debug", "info", "warning", "error"}


def test_no_field_hides_one_that_every_line_has() -> None:
    taken = {"event", "level", "timestamp", "session"}
    assert not [kind for kind in KINDS for field in fields(kind) if field.name in taken]
