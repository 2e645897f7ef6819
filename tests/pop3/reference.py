"""RETR and TOP once more, line by line and slow, after RFC 1939 sections 3 and 7: what the encoder must equal."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    encoded: bytes  # as it crosses the wire, with the dot that ends it
    octets: int  # as the client counts them: without the dots that were added


def expected(message: bytes, top: int | None = None) -> Expected:
    lines = lines_of(message) if top is None else top_of(lines_of(message), top)
    return Expected(wire(lines), sum(len(line) + 2 for line in lines))


def lines_of(message: bytes) -> list[bytes]:
    """LF and CRLF end a line, and so does the end of the message, or a CR just there; NUL is 0x80."""
    message = message.replace(b"\0", b"\x80")
    parts = re.split(rb"\r?\n", re.sub(rb"\r\Z", b"\r\n", message))
    return parts if parts[-1] else parts[:-1]


def top_of(lines: list[bytes], count: int) -> list[bytes]:
    return lines[: lines.index(b"") + 1 + count] if b"" in lines else lines


def wire(lines: list[bytes]) -> bytes:
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"
