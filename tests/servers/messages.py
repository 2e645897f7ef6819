"""Messages that break mail programs: the gallery that every path through the gateway has to survive."""

import base64
import random

CRLF = b"\r\n"
HEADER = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: gallery\r\n"

# Sizes at which programs like to split a stream: a socket's or a chunk's end falls here.
BOUNDARIES = (65_536, 262_144)
# An end of line, a line that is one dot, an end of line: the end of a POP3 answer, were it not stuffed.
MARK = b"\r\n.\r\n"


def _filler(octets: int) -> bytes:
    """Lines without a dot, of exactly so many octets, the last one without its end of line."""
    line = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + CRLF
    text = (line * (octets // len(line) + 1))[:octets].rstrip(CRLF)
    return text.ljust(octets, b"x")


def straddling(before: int) -> bytes:
    """A message with MARK at each boundary, ``before`` octets of it ahead of the boundary."""
    message = HEADER + CRLF
    for boundary in BOUNDARIES:
        message += _filler(boundary - before - len(message)) + MARK
        # Here message[boundary - before :][: len(MARK)] == MARK.
    return message + b"the end" + CRLF


def large(octets: int) -> bytes:
    """A message of exactly so many octets, always the same, that hardly compresses and is full of dot lines."""
    head = HEADER + CRLF
    room = octets - len(head) - len(MARK)
    if room < 0:
        raise ValueError(f"a large message has {len(head) + len(MARK)} octets at least")
    noise = base64.encodebytes(random.Random(octets).randbytes(room * 3 // 4 + 3))
    # One line of 64 ends in A: it is followed by a lone dot; every line after a B begins with two.
    lines = noise.replace(b"A\n", b"A\n.\n").replace(b"B\n", b"B\n..").replace(b"\n", CRLF)
    return head + lines[:room].rstrip(CRLF).ljust(room, b"x") + MARK


GALLERY: dict[str, bytes] = {
    # The message that works everywhere: when it fails, the fault is not in the octets.
    "simple": HEADER + b"\r\nHello.\r\n",
    # TOP 1 0 has nothing to show after the blank line.
    "empty-body": HEADER + CRLF,
    # No blank line: a search for the end of the header finds none.
    "headers-only": HEADER,
    # Begins with the blank line: there is no header at all.
    "no-headers": b"\r\njust a body\r\n",
    # The shortest message: no line in it, and less than any look-ahead.
    "one-octet": b"x",
    # The shortest message that is also the end of a POP3 answer.
    "one-dot": b".",
    # Nothing but an end of line.
    "one-crlf": CRLF,
    # The last line has no end: POP3 needs one before its final dot.
    "no-final-crlf": HEADER + b"\r\nlast line",
    # Likewise, and the last line has to be stuffed.
    "no-final-crlf-dot": HEADER + b"\r\nlast line is a dot\r\n.",
    # Ends within an end of line.
    "final-cr": HEADER + b"\r\nlast line\r",
    # As written by Unix programs: each line's end has to become CRLF, and sizes change with it.
    "bare-lf": b"Subject: unix\n\none\n.\n..two\n\nthree\n",
    # As no program writes today; a bare CR is no end of line, neither in IMAP nor in POP3.
    "bare-cr": b"Subject: mac\r\rone\r.\r..two\r",
    # All kinds next to one another, a CR before CRLF among them.
    "mixed-ends": b"Subject: mixed\r\n\r\none\ntwo\r\nthree\rfour\r\r\nfive\n\r\nsix\r\n\nseven\n.\n\r.\r\n.\r",
    # Byte-stuffing: every line that begins with a dot gets one more, and loses it again.
    "dot-lines": HEADER + b"\r\n.\r\n..\r\n...\r\n.x\r\n..x\r\nx.\r\n .\r\n.\r\n.\r\n\r\n.\r\n",
    # The first octet of a message begins a line, too.
    "dot-first": b".Subject: a dot first\r\n\r\nbody\r\n",
    # The first line is the end of a POP3 answer.
    "dot-line-first": b".\r\n..\r\nbody\r\n",
    # Longer than the 998 of RFC 5322, the 8192 of many servers, and the 64 KiB of asyncio's readline.
    "long-lines": HEADER + CRLF + b"a" * 65_536 + CRLF + b"." * 65_536 + CRLF + b"b" * 262_144 + CRLF,
    # A header field that long is folded nowhere.
    "long-header": b"Subject: " + b"s" * 65_536 + b"\r\n\r\nbody\r\n",
    # Octets that are no UTF-8: nobody may decode a message on its way.
    "latin-1": "Subject: Grüße\r\n\r\nÄÖÜ äöü ß £ ½ ÿ\r\n".encode("latin-1"),
    # RFC 6532: raw UTF-8 in the header.
    "utf-8": "From: Jürgen <jürgen@exämple.org>\r\nSubject: 你好 🙂\r\n\r\nżółć — ok\r\n".encode(),
    # Every octet but NUL, CR and LF, in disorder on purpose: no charset has them all.
    "all-octets": HEADER + CRLF + bytes(o for o in range(255, 0, -1) if o not in b"\r\n") + CRLF,
    # IMAP literals cannot carry NUL (RFC 3501, 4.3): each server finds its own way out.
    "nul": HEADER + b"\r\nbefore\0after\r\n\0\r\n",
    # What most mail is: parts, boundaries, base64, and lines that look like headers in the body.
    "multipart": (
        HEADER
        + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_b"\r\n\r\n'
        + b"For old programs.\r\n--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n"
        + b"Content-Transfer-Encoding: 8bit\r\n\r\n"
        + "Grüße\r\n".encode()
        + b"--=_b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        + b'Content-Disposition: attachment; filename="a.bin"\r\n\r\n'
        + base64.encodebytes(bytes(range(256))).replace(b"\n", CRLF)
        + b"--=_b--\r\n"
    ),
    # The dot line that a chunk's end cuts: a program that looks at one chunk at a time misses it.
    **{f"straddling-{before}": straddling(before) for before in range(len(MARK) + 1)},
}

# These have only CRLF ends of line and no NUL: an IMAP server has no reason to change an octet.
CANONICAL: frozenset[str] = frozenset(
    name
    for name, octets in GALLERY.items()
    if b"\0" not in octets and octets.count(b"\r") == octets.count(b"\n") == octets.count(CRLF)
)
