"""Replies: a status line, and perhaps blocks of lines after it (RFC 1939 section 3, RFC 2449 section 8)."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.pop3.states import Change

STATUS_LINE_LIMIT = 512  # octets with CRLF: RFC 2449 section 4
TERMINATOR = b".\r\n"
BLOCK_OCTETS = 32_768  # of lines are gathered before they are sent
ROWS_AT_ONCE = 2000  # some tens of kilobytes


@dataclass(frozen=True, slots=True)
class Reply:
    """`code`: a response code without brackets. `lines` end without CRLF; unlike bodies, none begins with a dot.

    `message` is the rest of the reply as it is sent, terminator included.
    """

    status: str  # "+OK", "-ERR", or "+" for a SASL challenge
    text: str = ""
    code: str = ""
    lines: Iterable[str] | None = None
    change: Change = Change.NONE
    message: bytes = b""

    def head(self) -> bytes:
        """The status line. Text from elsewhere cannot break out of it: controls and non-ASCII become `?`."""
        text = f"[{self.code}] {self.text}" if self.code else self.text
        printable = text if text.isascii() and text.isprintable() else _made_printable(text)
        if self.status != "+":  # a challenge is as long as it must be (RFC 5034 section 4)
            printable = printable[: STATUS_LINE_LIMIT - len(self.status) - 3]
        # A challenge keeps its space even when it is empty: `+ ` (RFC 5034); `+OK` alone needs none.
        line = f"{self.status} {printable}" if printable or self.status == "+" else self.status
        return line.encode("ascii") + b"\r\n"

    def encode(self) -> Iterable[bytes]:
        """The whole reply in blocks, so that 100,000 lines are not one string."""
        head = self.head()
        return (head + self.message,) if self.lines is None else _blocks(head, self.lines)


def _blocks(head: bytes, lines: Iterable[str]) -> Iterator[bytes]:
    block, octets = [head], len(head)
    for line in lines:
        block.append(line.encode("ascii") + b"\r\n")
        octets += len(line)
        if octets > BLOCK_OCTETS:
            yield b"".join(block)
            block, octets = [], 0
    yield b"".join([*block, TERMINATOR])


def rows(template: str, *columns: Sequence[int]) -> Iterator[str]:
    """Lines made of columns of numbers, index for index, by a template of %: some thousand at once."""
    width = len(columns)
    for begin in range(0, len(columns[0]), ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, len(columns[0]) - begin)
        numbers = [0] * (count * width)
        for place, column in enumerate(columns):
            numbers[place::width] = column[begin : begin + count]
        yield "\r\n".join([template] * count) % tuple(numbers)


def _made_printable(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)


def ok(
    text: str = "", *, lines: Iterable[str] | None = None, change: Change = Change.NONE, message: bytes = b""
) -> Reply:
    return Reply("+OK", text, lines=lines, change=change, message=message)


def err(text: str, code: str = "", *, change: Change = Change.NONE) -> Reply:
    return Reply("-ERR", text, code, change=change)


def challenge(octets: bytes) -> Reply:
    """A SASL challenge: `+ ` and base64. `+OK` here broke PHP's c-client; a missing space breaks others."""
    return Reply("+", base64.b64encode(octets).decode("ascii"), change=Change.SASL_GOES_ON)
