"""UIDs as IMAP writes them (RFC 3501 section 9, sequence-set), in pieces that every server takes."""

from collections.abc import Iterable, Iterator

from gateway.maildrop.listing import END, Ranges

SET_OCTETS = 4000  # of one set: RFC 7162 section 4 promises 8,192 for a command line, and some servers break above
SET_MESSAGES = 100_000  # in one set: EXPUNGE answers with a line for each, and an answer has its limit, too


def uid_sets(uids: Iterable[int]) -> Iterator[str]:
    """Ascending UIDs as sets: `1:4,7` …, each within the limits."""
    parts: list[str] = []
    length = messages = 0
    for first, last in _ranges(uids):
        part = _range(first, last)
        count = last - first + 1
        if parts and (length + len(part) + 1 > SET_OCTETS or messages + count > SET_MESSAGES):
            yield ",".join(parts)
            parts, length, messages = [], 0, 0
        parts.append(part)
        length += len(part) + 1
        messages += count
    if parts:
        yield ",".join(parts)


def range_set(ranges: Ranges) -> str:
    """Ranges as one set: `1:4,7,90:*`."""
    return ",".join(f"{low}:*" if high == END else _range(low, high) for low, high in ranges)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}:{last}"


def _ranges(uids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of each run, none longer than a set may be."""
    first = last = 0
    for uid in uids:
        if first and uid == last + 1 and uid - first < SET_MESSAGES:
            last = uid
            continue
        if first:
            yield first, last
        first = last = uid
    if first:
        yield first, last
