"""What the server must say: exact, but for `*`, which stands for text that is for people."""

import re
from dataclasses import dataclass
from typing import Self

CRLF = b"\r\n"
TERMINATOR = b"."
STATUS_LINE_LIMIT = 512  # octets with CRLF: RFC 1939 section 3, RFC 2449 section 4

_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", "*": b"*"}
_TOKEN = re.compile(r"\\x([0-9a-fA-F]{2})|\\(.)|(\*)|([^\\*]+)", re.DOTALL)
_ANYTHING = b"[ -~]*"
_NO_CODE = rb"(?!\[)" + _ANYTHING
_STATUSES = ("+OK", "-ERR")


class Mismatch(Exception):
    """The server says something else; `index` is that of the pattern."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index = index


class Incomplete(Exception):
    """What the server has said so far is right, but there must be more, from the pattern at `index` on."""

    def __init__(self, index: int) -> None:
        super().__init__("the server says no more")
        self.index = index


class _NoLine(Exception):
    """The octets end within a line."""


def text_of(text: str) -> bytes:
    r"""The octets of text with \r \n \t \0 \\ \* \xNN in it; all else is UTF-8."""
    return b"".join(b"*" if star else literal for star, literal in _tokens(text))


def _tokens(text: str) -> list[tuple[str, bytes]]:
    """(star, octets): the one or the other."""
    tokens = []
    for number, letter, star, plain in _TOKEN.findall(text):
        if number:
            literal = bytes.fromhex(number)
        elif letter:
            literal = _ESCAPES[letter]
        else:
            literal = plain.encode()
        tokens.append((star, literal))
    return tokens


@dataclass(frozen=True, slots=True)
class Pattern:
    """One expected line. Of `kind` "has" or "lacks" it is about all lines up to the terminator."""

    text: str
    kind: str
    expected: bytes | re.Pattern[bytes]  # octets, where there is no `*`

    @classmethod
    def of(cls, text: str, kind: str = "") -> Self:
        tokens = _tokens(text)
        return cls(text, kind, _expression(tokens) if any(star for star, _ in tokens) else text_of(text))

    def fits(self, line: bytes) -> bool:
        if b"\n" in line:  # a bare LF is no line end (RFC 1939 section 3), and the gateway mends those of messages
            return False
        if self.text.startswith(_STATUSES) and len(line) + len(CRLF) > STATUS_LINE_LIMIT:
            return False
        if isinstance(self.expected, bytes):
            return line == self.expected
        return self.expected.fullmatch(line) is not None


def _expression(tokens: list[tuple[str, bytes]]) -> re.Pattern[bytes]:
    """`+OK *` and `-ERR *` also stand for no text at all, and never for one with a response code.

    A response code that nobody expects is a fault (RFC 2449 section 6.4): clients act on it.
    """
    space = re.escape(b" ")
    expression = before = b""
    for index, (star, literal) in enumerate(tokens, 1):
        anything = _NO_CODE if before in (b"+OK ", b"-ERR ") else _ANYTHING
        before += literal
        if not star:
            expression += re.escape(literal)
        elif index == len(tokens) and expression.endswith(space):
            expression = expression.removesuffix(space) + b"(?: " + anything + b")?"
        else:
            expression += anything
    return re.compile(expression)


def consume(patterns: list[Pattern], said: bytes) -> bytes:
    """What is left of `said` after all patterns have met their lines. Raises Mismatch and Incomplete."""
    position = 0
    for index, pattern in enumerate(patterns):
        try:
            if pattern.kind:
                why = _look_through(pattern, said[position:])
            else:
                if index and patterns[index - 1].kind:  # the lines that `has` and `lacks` were about
                    position += _block_length(said[position:])
                line, position = _line_at(said, position)
                why = "" if pattern.fits(line) else f"expected {pattern.text!r}, the server says {_shown(line)}"
        except _NoLine:
            raise Incomplete(index) from None
        if why:
            raise Mismatch(index, why)
    return said[position:]


def _line_at(said: bytes, position: int) -> tuple[bytes, int]:
    end = said.find(CRLF, position)
    if end < 0:
        raise _NoLine
    return said[position:end], end + len(CRLF)


def _block_length(said: bytes) -> int:
    """Octets before the terminating line."""
    position = 0
    while True:
        line, end = _line_at(said, position)
        if line == TERMINATOR:
            return position
        position = end


def _look_through(pattern: Pattern, said: bytes) -> str:
    """What is wrong."""
    lines = said[: _block_length(said)].split(CRLF)[:-1]
    wanted = pattern.kind == "has"
    if any(map(pattern.fits, lines)) == wanted:
        return ""
    return (
        f"{pattern.text!r} should {'' if wanted else 'not '}be among these lines: {', '.join(map(_shown, lines))}"
    )


def _shown(line: bytes) -> str:
    text = repr(line)
    return text if len(text) <= 300 else f"{text[:250]} … ({len(line)} octets)"
