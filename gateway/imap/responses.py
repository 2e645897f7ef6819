"""Our own reading of IMAP responses: FETCH with its bodies left in the stream, and the lines around it.

IMAPClient's parser wants a whole response in memory; a body here stays on the wire until somebody takes it, and
a hundred thousand UID and size rows are read by one regular expression a block.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.errors import UpstreamError, UpstreamUnreachable
from gateway.imap.faults import plain, refusal
from gateway.imap.transport import LINE_LIMIT, Transport

_UNTAGGED = re.compile(rb"\* (\d+) ([A-Za-z]+)(?: (?=\()|\s*$)|\* ([A-Za-z]+)")
_LITERAL_AT_END = re.compile(rb"~?\{(\d{1,19})\+?\}\r?\n$")
_NAME = re.compile(rb"\s*([A-Za-z0-9.\-_]+(?:\[[^\]]*\])?(?:<\d+>)?) ")
_ATOM = re.compile(rb"[^\s()\"{]+")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal's length: its octets are next in the stream, and the reader's to take."""

    octets: int


class Atom(bytes):
    """A value without quotes: a number, a keyword, and never a text."""


Value = bytes | Atom | Literal | None  # None: NIL, or a list that nobody here needs


@dataclass(frozen=True, slots=True)
class Fetch:
    """`* n FETCH (…`: the line, and where its items begin."""

    line: bytes
    start: int


@dataclass(frozen=True, slots=True)
class Count:
    """`* n EXISTS` and `* n EXPUNGE`."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Data:
    """`* NAME text`: OK, FLAGS, SEARCH …"""

    name: str
    text: bytes  # the rest of the line, without spaces around it; of what has literals, up to the first


@dataclass(frozen=True, slots=True)
class Done:
    """The tagged OK."""

    text: bytes = b""


class Responses:
    """What answers one command of ours, response by response, to the tagged OK; anything else raises."""

    def __init__(
        self,
        transport: Transport,
        tag: bytes,
        doing: str = "",
        *,
        declined: type[UpstreamError] = UpstreamError,
        line_limit: int = LINE_LIMIT,
    ) -> None:
        """A NO or BAD that does not say why is `declined`; `doing` is for its detail. `line_limit`: octets."""
        self.done = False  # the tagged line has come, whatever it said
        self._transport = transport
        self._tag = tag + b" "
        self._doing = f"{doing}: " if doing else ""
        self._declined = declined
        self._line_limit = line_limit

    def next(self) -> Fetch | Count | Data | Done:
        line = self.line()
        if line.startswith(self._tag):
            self.done = True
            self._transport.unanswered -= 1
            return Done(self._accepted(line))
        found = _UNTAGGED.match(line)
        if found is None:
            raise UpstreamError(f"unexpected answer: {_plain(line)}")
        number, name, word = found.groups()
        if number is not None and name.upper() == b"FETCH":
            return Fetch(line, found.end())
        if number is None and word.upper() == b"BYE":
            raise UpstreamUnreachable(f"the server said BYE: {_plain(line)}")
        self._skip_literals(line)
        if number is not None:
            return Count(int(number), name.decode("ascii").upper())
        return Data(word.decode("ascii").upper(), line[found.end() :].strip())

    def line(self) -> bytes:
        """The next line; the end of the stream is an error."""
        line = self._transport.readline(self._line_limit)
        if not line.endswith(b"\n"):
            raise UpstreamUnreachable("the server closed the connection")
        return line

    def skip(self, octets: int) -> None:
        """Throw away a literal's octets."""
        while octets:
            octets -= len(self._transport.read_some(min(octets, 65_536)))

    def items(self, fetch: Fetch) -> Iterator[tuple[str, Value]]:
        """(NAME, value) of each item. After a Literal its octets must be taken before the next item is asked."""
        return _items(fetch, self.line, self.skip)

    def skip_items(self, fetch: Fetch) -> None:
        """Read past the items of a response that nobody needs."""
        for _, value in self.items(fetch):
            if isinstance(value, Literal):
                self.skip(value.octets)

    def _accepted(self, line: bytes) -> bytes:
        """What follows the OK."""
        status, _, text = line[len(self._tag) :].partition(b" ")
        if status.strip().upper() == b"OK":
            return text.strip()
        words = text.decode("utf-8", "replace")
        detail = f"{self._doing}the server answered {_plain(status)}: {plain(words)}"
        raise refusal(words, detail, default=self._declined)

    def _skip_literals(self, line: bytes) -> None:
        while literal := _LITERAL_AT_END.search(line):
            self.skip(int(literal[1]))
            line = self.line()


def _items(
    fetch: Fetch, next_line: Callable[[], bytes], skip: Callable[[int], None]
) -> Iterator[tuple[str, Value]]:
    line, at = fetch.line, fetch.start
    if line[at : at + 1] != b"(":
        raise UpstreamError(f"a FETCH without items: {_plain(line)}")
    at += 1
    while True:
        if line[at:].lstrip().startswith(b")"):
            return
        name = _NAME.match(line, at)
        if name is None:
            raise UpstreamError(f"a FETCH item without a name: {_plain(line)}")
        at = name.end()
        literal = _LITERAL_AT_END.match(line, at)
        if literal:
            yield name[1].decode("ascii").upper(), Literal(int(literal[1]))
            line, at = next_line(), 0
        elif line[at : at + 1] == b"(":
            line, at = _after_list(line, at, next_line, skip)
            yield name[1].decode("ascii").upper(), None
        else:
            value, at = _plain_value(line, at)
            yield name[1].decode("ascii").upper(), value


def _plain_value(line: bytes, at: int) -> tuple[bytes | None, int]:
    if quoted := _QUOTED.match(line, at):
        return re.sub(rb"\\(.)", rb"\1", quoted[1]), quoted.end()
    if atom := _ATOM.match(line, at):
        return (None if atom[0].upper() == b"NIL" else Atom(atom[0])), atom.end()
    raise UpstreamError(f"a FETCH item without a value: {_plain(line)}")


def _after_list(
    line: bytes, at: int, next_line: Callable[[], bytes], skip: Callable[[int], None]
) -> tuple[bytes, int]:
    """The line and place behind a parenthesised list, with whatever is nested in it."""
    depth = 0
    while True:
        octet = line[at : at + 1]
        if octet == b"(":
            depth += 1
        elif octet == b")":
            depth -= 1
            if not depth:
                return line, at + 1
        elif octet == b'"':
            quoted = _QUOTED.match(line, at)
            if quoted is None:
                raise UpstreamError(f"a string without an end: {_plain(line)}")
            at = quoted.end()
            continue
        elif literal := _LITERAL_AT_END.match(line, at):
            skip(int(literal[1]))
            line, at = next_line(), 0
            continue
        elif octet in (b"\n", b""):
            raise UpstreamError(f"a list without an end: {_plain(line)}")
        at += 1


def _plain(octets: bytes) -> str:
    return plain(octets.strip().decode("utf-8", "replace"))
