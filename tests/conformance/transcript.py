"""Reads transcripts. README.md, next to this file, describes the format for who writes them."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.matching import Pattern, text_of

CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class Say:
    """The client sends a line; not `ended`, it stops short of the line's end."""

    line: int
    client: int
    octets: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class Hear:
    """The server answers a line, or (`has`, `lacks`) many of which one is meant."""

    line: int
    client: int
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class End:
    """The server ends the connection; `within_message` the client must see that it is not whole."""

    line: int
    client: int
    within_message: bool


@dataclass(frozen=True, slots=True)
class Happen:
    """Something happens besides: in the network, in the mailbox, to the upstream."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Check:
    """What must be true now."""

    line: int
    what: str


Step = Say | Hear | End | Happen | Check


@dataclass(slots=True)
class Case:
    """One clause: what is given, and what is said."""

    path: Path
    line: int
    title: str
    messages: dict[str, bytes]  # all that the case may name
    givens: dict[str, str] = field(default_factory=dict)
    ways: tuple[str, ...] = ()  # only these; () for all
    fails: str = ""  # why the gateway does not do it
    steps: list[Step] = field(default_factory=list)


class TranscriptError(Exception):
    """A line that is none of the format: a slip of the pen must not become a test that tests nothing."""


GIVENS = frozenset(
    {
        *("mail", "uids", "uidvalidity"),
        *("name", "password", "another account"),
        *("address", "listener", "login attempts", "login delay"),
    }
)
LOGIN = ("S: +OK *", "C: USER {name}", "S: +OK *", "C: PASS {password}", "S: +OK *")


def read_folder(folder: Path) -> list[Case]:
    """All cases of a folder; messages.txt holds the messages that each of them may name."""
    shared = _Reader(folder / "messages.txt", {})
    return [case for path in sorted(folder.glob("*.txt")) for case in _Reader(path, shared.messages).cases]


def read_text(text: str) -> list[Case]:
    """For transcripts that are no file."""
    return _Reader(Path("text"), {}, text).cases


class _Reader:
    """One file, line by line."""

    def __init__(self, path: Path, messages: dict[str, bytes], text: str | None = None) -> None:
        self.cases: list[Case] = []
        self.messages = dict(messages)  # those before the first case are for the whole file
        self._path = path
        self._message: str | None = None
        self._number = 0
        text = path.read_text("utf-8") if text is None else text
        for self._number, line in enumerate(text.split("\n"), 1):
            self._read(line)

    def _read(self, line: str) -> None:
        if line.startswith("|"):
            self._add_to_message(line[1:].removeprefix(" "))
            return
        self._message = None
        if not line.strip() or line.startswith("#"):
            return
        if line != line.rstrip():
            raise self._error(r"a space at the end is not seen; write it \x20")
        for form, read in _FORMS:
            if match := form.fullmatch(line):
                read(self, *match.groups())
                return
        raise self._error(f"what is this? {line!r}")

    def _case(self) -> Case:
        if not self.cases:
            raise self._error("no case has begun; a case begins with === and its title")
        return self.cases[-1]

    def _error(self, why: str) -> TranscriptError:
        return TranscriptError(f"{self._path.name}:{self._number}: {why}")

    # the forms of a line

    def _begin(self, title: str) -> None:
        if any(case.title == title for case in self.cases):
            raise self._error("a case of this title is there already")
        self.cases.append(Case(self._path, self._number, title, dict(self.messages)))

    def _given(self, key: str, value: str) -> None:
        if key not in GIVENS:
            raise self._error(f"{key!r} cannot be given; there is {', '.join(sorted(GIVENS))}")
        self._case().givens[key] = value

    def _ways(self, names: str) -> None:
        self._case().ways = tuple(name.strip() for name in names.split(","))

    def _fails(self, why: str) -> None:
        self._case().fails = why

    def _begin_message(self, name: str) -> None:
        self._message = name
        self._messages()[name] = b""

    def _messages(self) -> dict[str, bytes]:
        return self.cases[-1].messages if self.cases else self.messages

    def _add_to_message(self, text: str) -> None:
        if self._message is None:
            raise self._error("this line of a message belongs to none; `message NAME` goes before")
        text, ended = _split_end(text)
        self._messages()[self._message] += octets_of(text) + (CRLF if ended else b"")

    def _say(self, client: str, text: str) -> None:
        text, ended = _split_end(text)
        self._step(Say(self._number, int(client or 1), octets_of(text), ended))

    def _hear(self, client: str, kind: str, text: str) -> None:
        pattern = Pattern.of(expand(text), (kind or "").strip())
        self._step(Hear(self._number, int(client or 1), pattern))

    def _end(self, client: str, how: str) -> None:
        self._step(End(self._number, int(client or 1), how == "breaks off"))

    def _happen(self, what: str) -> None:
        if what == "the client logs in":
            case = self._case()
            for line in LOGIN:
                name, password = case.givens.get("name", "ann"), case.givens.get("password", "secret")
                self._read(line.replace("{name}", name).replace("{password}", password))
        else:
            self._step(Happen(self._number, what))

    def _check(self, what: str) -> None:
        self._step(Check(self._number, what))

    def _step(self, step: Step) -> None:
        self._case().steps.append(step)


_FORMS: tuple[tuple[re.Pattern[str], Callable[..., None]], ...] = (
    (re.compile(r"=== (.+)"), _Reader._begin),
    (re.compile(r"given ([a-z ]+): (.+)"), _Reader._given),
    (re.compile(r"ways: (.+)"), _Reader._ways),
    (re.compile(r"fails: (.+)"), _Reader._fails),
    (re.compile(r"message (\S+)"), _Reader._begin_message),
    (re.compile(r"C([2-9]?):(?: (.*)|)"), lambda reader, client, text: reader._say(client, text or "")),
    (
        re.compile(r"S([2-9]?)( has| lacks)?:(?: (.*)|)"),
        lambda reader, client, kind, text: reader._hear(client, kind, text or ""),
    ),
    (re.compile(r"S([2-9]?) (closes|breaks off)"), _Reader._end),
    (re.compile(r"-- (.+)"), _Reader._happen),
    (re.compile(r"then: (.+)"), _Reader._check),
)


def _split_end(text: str) -> tuple[str, bool]:
    r"""A single \ at the end takes the line end away."""
    backslashes = len(text) - len(text.rstrip("\\"))
    return (text[:-1], False) if backslashes % 2 else (text, True)


_REPETITION = re.compile(r"\{(\d+) x ([^{}]+)\}")
_BASE64 = re.compile(r"\{base64 ([^{}]*)\}")


def expand(text: str) -> str:
    """`{300 x a}` and `{base64 \\0ann\\0secret}`."""
    text = _REPETITION.sub(lambda match: match[2] * int(match[1]), text)
    return _BASE64.sub(lambda match: base64.b64encode(text_of(match[1])).decode(), text)


def octets_of(text: str) -> bytes:
    return text_of(expand(text))


def clients_of(steps: list[Step]) -> Iterator[int]:
    for step in steps:
        if isinstance(step, Say | Hear | End):
            yield step.client
