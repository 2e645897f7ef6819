"""UIDs as IMAP writes them (RFC 3501 section 9, sequence-set), in pieces that every server takes."""

from collections.abc import Iterable, Iterator

from gateway.maildrop.listing import END, Ranges

SET_OCTETS = 4000  # of one set: RFC 7162 section 4 promises 8,192 for a command line, and some servers break above


def uid_sets(uids: Iterable[int]) -> Iterator[str]:
    """Ascending UIDs as sets: `1:4,7` …, each at most SET_OCTETS long."""
    parts: list[str] = []
    length = 0
    for part in _ranges(uids):
        if parts and length + len(part) + 1 > SET_OCTETS:
            yield ",".join(parts)
            parts, length = [], 0
        parts.append(part)
        length += len(part) + 1
    if parts:
        yield ",".join(parts)


def range_set(ranges: Ranges) -> str:
    """Ranges as one set: `1:4,7,90:*`."""
    return ",".join(f"{low}:*" if high == END else _range(low, high) for low, high in ranges)


def _ranges(uids: Iterable[int]) -> Iterator[str]:
    first = last = 0
    for uid in uids:
        if first and uid == last + 1:
            last = uid
            continue
        if first:
            yield _range(first, last)
        first = last = uid
    if first:
        yield _range(first, last)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}:{last}"
