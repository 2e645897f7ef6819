"""One change after another to what is in the corpus. Whoever calls says which: hypothesis, or a random number."""

import re
from collections.abc import Callable, Sequence

MOST_OCTETS = 65_536  # of a mutant
MOST_CHANGES = 5
COPIES = (1, 2, 7, 100)

Number = Callable[[int], int]  # from 0, below this

# Where integers end, somewhere; and what int() takes, or does not, that is no number in IMAP or POP3.
NUMBERS = (
    *(b"0", b"1", b"2", b"7", b"255", b"256", b"65535", b"65536", b"2147483648", b"4294967295", b"4294967296"),
    *(b"18446744073709551615", b"18446744073709551616", b"9" * 30, b"9" * 5000, b"00", b"-1", b"+1", b"1_0"),
)
_DIGITS = re.compile(rb"\d+")
_LINES = re.compile(rb"[^\n]*\n|[^\n]+")


def mutant(pool: Sequence[bytes], tokens: Sequence[bytes], number: Number) -> bytes:
    """One of the pool with a few changes."""
    octets = pool[number(len(pool))]
    for _ in range(1 + number(MOST_CHANGES)):
        octets = _CHANGES[number(len(_CHANGES))](octets, pool, tokens, number)[:MOST_OCTETS]
    return octets


def _flip(octets: bytes, _: Sequence[bytes], __: Sequence[bytes], number: Number) -> bytes:
    at = number(len(octets) + 1)
    return octets[:at] + bytes([octets[at] ^ 1 << number(8)]) + octets[at + 1 :] if octets[at:] else octets


def _put_octet(octets: bytes, _: Sequence[bytes], __: Sequence[bytes], number: Number) -> bytes:
    at = number(len(octets) + 1)
    return octets[:at] + bytes([number(256)]) + octets[at + number(2) :]


def _put_token(octets: bytes, _: Sequence[bytes], tokens: Sequence[bytes], number: Number) -> bytes:
    at = number(len(octets) + 1)
    return octets[:at] + tokens[number(len(tokens))] + octets[at + number(12) :]


def _put_number(octets: bytes, _: Sequence[bytes], __: Sequence[bytes], number: Number) -> bytes:
    found = list(_DIGITS.finditer(octets))
    if not found:
        return octets
    digits = found[number(len(found))]
    near = [b"%d" % (int(digits[0][:18]) + step) for step in (-1, 1)]
    return octets[: digits.start()] + (*NUMBERS, *near)[number(len(NUMBERS) + 2)] + octets[digits.end() :]


def _cut_off(octets: bytes, _: Sequence[bytes], __: Sequence[bytes], number: Number) -> bytes:
    return octets[: number(len(octets) + 1)]


def _leave_out(octets: bytes, _: Sequence[bytes], __: Sequence[bytes], number: Number) -> bytes:
    at = number(len(octets) + 1)
    return octets[:at] + octets[at + 1 + number(20) :]


def _repeat(octets: bytes, _: Sequence[bytes], __: Sequence[bytes], number: Number) -> bytes:
    at = number(len(octets) + 1)
    end = at + 1 + number(20)
    return octets[:end] + octets[at:end] * COPIES[number(len(COPIES))] + octets[end:]


def _splice(octets: bytes, pool: Sequence[bytes], _: Sequence[bytes], number: Number) -> bytes:
    other = pool[number(len(pool))]
    return octets[: number(len(octets) + 1)] + other[number(len(other) + 1) :]


def _move_line(octets: bytes, pool: Sequence[bytes], _: Sequence[bytes], number: Number) -> bytes:
    """A line from here or from another one, to somewhere, in a line's place or between two."""
    lines = _LINES.findall(octets)
    others = _LINES.findall(pool[number(len(pool))]) if number(2) else lines
    at = number(len(lines) + 1)
    put = others[number(len(others))] if others else b""
    return b"".join([*lines[:at], put, *lines[at + number(2) :]])


def _leave_out_line(octets: bytes, _: Sequence[bytes], __: Sequence[bytes], number: Number) -> bytes:
    lines = _LINES.findall(octets)
    at = number(len(lines) + 1)
    return b"".join(lines[:at] + lines[at + 1 :])


_CHANGES: tuple[Callable[[bytes, Sequence[bytes], Sequence[bytes], Number], bytes], ...] = (
    *(_flip, _put_octet, _put_token, _put_number, _cut_off, _leave_out, _repeat, _splice),
    *(_move_line, _leave_out_line),
)
