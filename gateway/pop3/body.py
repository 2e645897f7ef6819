"""Message bodies on the way to the client: line ends repaired, dots stuffed, TOP cut (RFC 1939 sections 3 and 7).

All work is on whole blocks, with bytes methods and regular expressions that run from one line end to the next. No
step looks at single lines, except to find where TOP ends.
"""

import re
from collections.abc import Sequence

from gateway.pop3.replies import TERMINATOR

CRLF = b"\r\n"
FEW = 64  # lines that begin with a dot, in a message that is here whole; for more, other ways are faster
_BARE_LF = re.compile(rb"\n(?<!\r\n)")
_DOT_OR_BARE_LF = re.compile(rb"\n(\.|(?<!\r\n))")


def encode_message(message: bytes, head: bytes = b"") -> tuple[bytes, int]:
    """RETR of a message that is here whole: behind `head` what BodyEncoder makes of it, and how many octets of the
    message the client counts.
    """
    # One look for all that is to be done: text, what is odd behind it, text, … most messages are one text.
    pieces = _DOT_OR_BARE_LF.split(message, FEW)
    if b"\0" in message or not message.endswith(CRLF) or not _has_only_few_dots(pieces):
        encoder = BodyEncoder()
        return b"".join((head, encoder.feed(message), encoder.finish())), encoder.octets
    pieces[1::2] = [b"\n.."] * (len(pieces) // 2)
    dot = b"." if message.startswith(b".") else b""
    return b"".join((head, dot, *pieces, TERMINATOR)), len(message)


def _has_only_few_dots(pieces: Sequence[bytes]) -> bool:
    """Whether nothing else is odd, and each dot is behind a CRLF."""
    if len(pieces) == 1:
        return True
    few = len(pieces) < 2 * FEW
    return few and b"" not in pieces[1::2] and all(text.endswith(b"\r") for text in pieces[:-1:2])


class BodyEncoder:
    """Feed it a message's octets in blocks of any size, write what it returns, and end with finish().

    With `lines`, it stops after the header, the blank line, and that many lines of the body (TOP): then `done`.
    """

    def __init__(self, lines: int | None = None) -> None:
        self.octets = 0  # of the message as the client counts them: repaired, not stuffed
        self._cut = None if lines is None else _Cut(lines)
        self._held_cr = False  # a CR at the end of a block: whether it is bare, the next block tells
        self._at_line_start = True

    @property
    def done(self) -> bool:
        """Whether no further block can add anything."""
        return self._cut is not None and self._cut.done

    def feed(self, block: bytes) -> bytes:
        if self._held_cr:
            block = b"\r" + block
        self._held_cr = block.endswith(b"\r")
        if self._held_cr:
            block = block[:-1]
        if self._cut is None and _is_even(block):
            return self._emit_even(block)
        return self._emit(_repair(block))

    def finish(self) -> bytes:
        """The rest: a final CRLF where the message has none (its lack hangs fetchmail), and the terminator."""
        # A CR that the message ends with is read as an unfinished line end.
        unfinished = not self._at_line_start or (self._held_cr and not self.done)
        tail = CRLF if unfinished else b""
        self._held_cr = False
        self.octets += len(tail)
        return tail + TERMINATOR

    def _emit_even(self, text: bytes) -> bytes:
        stuffed = b"." + text if self._at_line_start and text.startswith(b".") else text
        self.octets += len(text)
        self._at_line_start = text.endswith(CRLF)
        return stuffed

    def _emit(self, text: bytes) -> bytes:
        """`text` never splits a CRLF, because feed() holds a last CR back."""
        if self._cut is not None:
            text = self._cut.feed(text)
        if not text:
            return b""
        self.octets += len(text)
        stuffed = _stuffed(text)
        if self._at_line_start and text.startswith(b"."):
            stuffed = b"." + stuffed
        self._at_line_start = text.endswith(CRLF)
        return stuffed


def _is_even(block: bytes) -> bool:
    """Whether all lines have one length, end with CRLF, hold no NUL, and none but the first begins with a dot.

    Base64 is so, and with it nearly all of what is large. To know it takes one look at the line ends, and a search
    for others where these are blanked. To count them all, or to look for two octets, takes ten times as long.
    """
    end = block.find(b"\n")
    width = block.find(b"\n", end + 1) - end
    if end < 1 or width < 1:
        return False
    ends = block[end::width]
    rest = bytearray(block)
    rest[end::width] = bytes(len(ends))
    return (
        ends.count(b"\n") == len(ends)
        and b"\n" not in rest
        and block[end - 1 : block.rfind(b"\n") : width].count(b"\r") == len(ends)
        and b"." not in block[end + 1 :: width]
        and b"\0" not in block
    )


def _repair(block: bytes) -> bytes:
    """Bare LF becomes CRLF, as every peer does it. A bare CR is data and stays.

    NUL, which RFC 5322 forbids and which hangs Outlook, becomes 0x80, as in Dovecot: one octet for one.
    """
    if _BARE_LF.search(block):
        block = block.replace(CRLF, b"\n").replace(b"\n", CRLF)
    if b"\0" in block:
        block = block.replace(b"\0", b"\x80")
    return block


def _stuffed(text: bytes) -> bytes:
    """But for its first line, whose beginning may have been in another block."""
    return text.replace(b"\r\n.", b"\r\n..")


class _Cut:
    """Passes the header, the blank line and `lines` lines of text that never splits a CRLF."""

    def __init__(self, lines: int) -> None:
        self.done = False
        self._lines = lines
        self._in_header = True
        self._at_line_start = True

    def feed(self, text: bytes) -> bytes:
        if self.done or not text:
            return b""
        if not self._in_header:
            return self._body(text)
        end = self._header_end(text)
        self._at_line_start = text.endswith(CRLF)
        if end < 0:
            return text
        self._in_header = False
        return text[:end] + self._body(text[end:])

    def _header_end(self, text: bytes) -> int:
        """Where the body begins in `text`, or -1."""
        if self._at_line_start and text.startswith(CRLF):
            return len(CRLF)
        blank = text.find(b"\r\n\r\n")
        return blank + 4 if blank >= 0 else -1

    def _body(self, text: bytes) -> bytes:
        if not self._lines:
            self.done = True
            return b""
        found = text.count(CRLF)
        if found < self._lines:
            self._lines -= found
            return text
        rest = text.split(CRLF, self._lines)[-1]
        self.done = True
        return text[: len(text) - len(rest)]
