"""What clients should get of the gallery of awkward messages."""

import re
from collections.abc import Sequence

from tests.servers.messages import GALLERY


def as_sent(octets: bytes) -> bytes:
    """A message that IMAP shows so, after the gateway's repairs: only CRLF, no NUL, an end to the last line."""
    text = re.sub(rb"(?<!\r)\n", b"\r\n", octets).replace(b"\0", b"\x80")
    if text.endswith(b"\r"):  # an end of line cut short
        return text + b"\n"
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def differences(arrived: Sequence[bytes], expected: Sequence[bytes]) -> dict[str, str]:
    """By the message's name, where two galleries first differ; pytest would take minutes to show it."""
    assert len(arrived) == len(expected) == len(GALLERY)
    return {
        name: _difference(one, other)
        for name, one, other in zip(GALLERY, arrived, expected, strict=True)
        if one != other
    }


def _difference(one: bytes, other: bytes) -> str:
    equal = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    begin = max(0, equal - 20)
    return f"octet {equal}: {one[begin : equal + 20]!r} instead of {other[begin : equal + 20]!r}"
