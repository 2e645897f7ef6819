"""IMAP on the wire: commands taken apart, replies put together."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from itertools import repeat

CRLF = b"\r\n"

_WORD = re.compile(rb"[^ \r\n]+")
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_PATTERN = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_QUOTED = re.compile(rb'"((?:[^\x00\r\n"\\\x80-\xff]|\\["\\])*)"')
_LITERAL = re.compile(rb"~?\{(\d+)\+?\}\r\n")
_RANGE = re.compile(r"(\d+|\*)(?::(\d+|\*))?")


class BadCommand(Exception):
    """The command is answered BAD with this text."""


class Refused(Exception):
    """The command is answered NO with this text."""


def octets(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it came, secrets included."""

    tag: str
    verb: str  # upper case; both words of "UID FETCH"
    args: bytes  # what follows the verb, literals in place
    line: bytes  # all of it without the last CRLF
    responses: list[bytes] = field(default_factory=list)  # what followed a "+" of AUTHENTICATE

    @classmethod
    def parse(cls, line: bytes) -> "Command":
        tag, _, rest = line.partition(b" ")
        verb, _, args = rest.partition(b" ")
        if verb.upper() == b"UID":
            second, _, args = args.partition(b" ")
            verb += b" " + second
        return cls(tag.decode("latin-1"), verb.decode("latin-1").upper(), args, line)


class Scanner:
    """Reads the arguments of a command from left to right."""

    def __init__(self, args: bytes) -> None:
        self._args = args
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._args)

    def end(self) -> None:
        if self.more():
            raise BadCommand("too many arguments")

    def rest(self) -> bytes:
        start, self._at = self._at, len(self._args)
        return self._args[start:]

    def skip(self, words: bytes) -> bool:
        """Pass over these, in upper or lower case, if they are next."""
        end = self._at + len(words)
        if self._args[self._at : end].upper() != words:
            return False
        self._at = end
        return True

    def word(self) -> str:
        """Anything up to the next space: a sequence set, a mechanism, base64."""
        return self._take(_WORD).group().decode("latin-1")

    def astring(self, atom: re.Pattern[bytes] = _ATOM) -> bytes:
        first = self._args[self._at : self._at + 1]
        if first == b'"':
            return re.sub(rb"\\(.)", rb"\1", self._take(_QUOTED).group(1))
        if first not in (b"{", b"~"):
            return self._take(atom).group()
        size = int(self._take(_LITERAL, space=False).group(1))
        value = self._args[self._at : self._at + size]
        self._at += size
        self._space()
        return value

    def pattern(self) -> bytes:
        """As LIST has it: an astring that may hold ``*`` and ``%``."""
        return self.astring(_PATTERN)

    def _take(self, what: re.Pattern[bytes], *, space: bool = True) -> re.Match[bytes]:
        match = what.match(self._args, self._at)
        if match is None:
            raise BadCommand("syntax error in arguments")
        self._at = match.end()
        if space:
            self._space()
        return match

    def _space(self) -> None:
        if self.more():
            if self._args[self._at : self._at + 1] != b" ":
                raise BadCommand("a space is missing")
            self._at += 1


class SequenceSet:
    """``1,3:5,8:*`` of message numbers or UIDs."""

    def __init__(self, text: str) -> None:
        self._ranges: list[tuple[str, str]] = []
        for part in text.split(","):
            match = _RANGE.fullmatch(part)
            if match is None or "0" in match.groups():
                raise BadCommand(f"not a sequence set: {text[:40]}")
            self._ranges.append((match[1], match[2] or match[1]))

    def bounds(self, top: int) -> Iterator[tuple[int, int]]:
        """Each range, low end first, where ``*`` stands for `top`."""
        for pair in self._ranges:
            low, high = sorted(top if end == "*" else int(end) for end in pair)
            yield low, high

    def indices(self, numbers: Sequence[int]) -> list[int]:
        """Where in `numbers`, which ascend, the set's numbers are."""
        if not numbers:
            return []
        found: set[int] = set()
        for low, high in self.bounds(numbers[-1]):
            found.update(range(bisect_left(numbers, low), bisect_right(numbers, high)))
        return sorted(found)

    def covers(self, number: int, top: int) -> bool:
        return any(low <= number <= high for low, high in self.bounds(top))


def compact(numbers: Sequence[int]) -> str:
    """Ascending numbers as a sequence set with ranges."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in runs)


@dataclass(slots=True)
class Literal:
    """A string in a reply, in the form that a body has."""

    octets: bytes
    announced: int | None = None  # the length that {n} claims, where it is not the true one
    form: str = "{%d}\r\n"  # or "~{%d}\r\n", or "" for a quoted string

    def chunks(self) -> Iterator[tuple[bytes, bool]]:
        if not self.form:
            yield b'"' + re.sub(rb'(["\\])', rb"\\\1", self.octets) + b'"', True
            return
        yield (self.form % (len(self.octets) if self.announced is None else self.announced)).encode(), False
        yield self.octets, True


Value = bytes | Literal


@dataclass(slots=True)
class Row:
    """``* 3 FETCH (UID 7 FLAGS (\\Seen))`` before it is written."""

    seq: int
    uid: int  # of the message that it is about, whatever the items say
    items: dict[str, Value]

    @property
    def body(self) -> str | None:
        """The name of the item that carries text, e.g. ``BODY[]`` or ``BODY[]<0>``."""
        return next((n for n in self.items if n.startswith("BODY[") or n in ("RFC822", "RFC822.HEADER")), None)

    def chunks(self) -> Iterator[tuple[bytes, bool]]:
        lead = f"* {self.seq} FETCH ("
        for name, value in self.items.items():
            yield f"{lead}{name} ".encode(), False
            lead = " "
            if isinstance(value, Literal):
                yield from value.chunks()
            else:
                yield value, False
        yield (lead.encode() if not self.items else b"") + b")" + CRLF, False


@dataclass(slots=True)
class Raw:
    """Octets put on the wire as they are, without CRLF, so often; None is for ever."""

    octets: bytes
    times: int | None = 1


class Ending(Enum):
    STAY = "the connection lives on"
    CLOSE = "FIN"
    RESET = "RST"
    STALL = "open, listened to, and never answered again"


Line = bytes | Row | Raw


@dataclass(slots=True)
class Reply:
    """All that answers one command, and how it is brought to the client."""

    tag: str
    lines: list[Line] = field(default_factory=list)  # without CRLF
    tagged: bytes | None = None  # "OK done", without the tag
    behind: list[bytes] = field(default_factory=list)  # lines after the tagged one
    delay: float = 0.0
    rate: int | None = None  # octets a second
    limit: int | None = None  # of octets; what would follow is not sent
    limit_in_literal: bool = False  # count from the first octet of the first literal
    ending: Ending = Ending.STAY
    tag_last: bool = False  # the tagged line waits until every command of the flight is done
    deafens: bool = False  # what the client sent behind this command is lost
    then: Callable[[], None] | None = None  # once it is sent: the TLS handshake

    def say(self, line: str) -> None:
        self.lines.append(line.encode())

    def last_line(self) -> bytes:
        return b"" if self.tagged is None else f"{self.tag} ".encode() + self.tagged + CRLF

    def chunks(self) -> Iterator[bytes]:
        """The octets to send, in pieces, up to the limit."""
        left = None if self.limit_in_literal else self.limit
        for chunk, in_literal in self._all_chunks():
            if in_literal and left is None:
                left = self.limit
            if left is None:
                yield chunk
                continue
            yield chunk[:left]
            left -= len(chunk[:left])
            if left == 0:
                return

    def _all_chunks(self) -> Iterator[tuple[bytes, bool]]:
        for line in self.lines:
            if isinstance(line, Row):
                yield from line.chunks()
            elif isinstance(line, Raw):
                for _ in repeat(None) if line.times is None else repeat(None, line.times):
                    yield line.octets, False
            else:
                yield line + CRLF, False
        if not self.tag_last:
            yield self.last_line(), False
        for line in self.behind:
            yield line + CRLF, False


@dataclass(frozen=True, slots=True)
class Counts:
    """What went over the wire so far; the difference of two tells what happened between them."""

    connections: int = 0
    commands: int = 0
    flights: int = 0  # times that we, having written everything, read at least one complete command
    continuations: int = 0  # "+" sent: each is one more wait for the client
    octets_in: int = 0
    octets_out: int = 0

    @property
    def round_trips(self) -> int:
        return self.flights + self.continuations

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Counts)))

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, field.name) - getattr(other, field.name) for field in fields(Counts)))
