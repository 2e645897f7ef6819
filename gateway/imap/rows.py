"""UIDs and sizes, as FETCH gives them: a hundred thousand rows are read by one regular expression a block."""

import re
from array import array
from operator import lt

from gateway.errors import UpstreamError
from gateway.imap.faults import plain
from gateway.imap.responses import Fetch, Literal, Responses
from gateway.maildrop.listing import DATE_OCTETS

_UID, _SIZE = rb"UID ([1-9]\d{0,9})", rb"RFC822\.SIZE (\d{1,18})"
_DATE = rb'INTERNALDATE "([^"\\\r\n]{0,%d})"' % DATE_OCTETS


def _rows(items: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Patterns for one row, and for a run of them."""
    row = rb"\* \d+ FETCH \(" + items + rb"\)\r\n"
    return re.compile(row), re.compile(rb"(?:" + re.sub(rb"\((?=\[|\\d)", rb"(?:", row) + rb")+")


# Nearly all rows that there are; either order is legal.
_UID_FIRST = _rows(_UID + b" " + _SIZE)
_SIZE_FIRST = _rows(_SIZE + b" " + _UID)
_DATED = _rows(_UID + b" " + _DATE)


_MOST_OCTETS = 2**63 - 1  # RFC 9051 section 9, number64


def is_ascending(uids: "array[int]") -> bool:
    """And each only once."""
    return all(map(lt, uids, uids[1:]))


class Rows:
    """UIDs with sizes, in the order they came, and as often; and UIDs with dates."""

    def __init__(self) -> None:
        self.dates: dict[int, bytes] = {}  # the INTERNALDATE by UID, as it came
        self._uids = array("I")
        self._sizes = array("Q")

    def take(self, block: bytes) -> int:
        """Take the plain rows at the beginning of whole lines, and say where they end."""
        for (row, run), first, second in (
            (_UID_FIRST, self._uids, self._sizes),
            (_SIZE_FIRST, self._sizes, self._uids),
        ):
            if rows := run.match(block):
                ones, others = zip(*row.findall(block, 0, rows.end()), strict=True)
                first.extend(map(int, ones))
                second.extend(map(int, others))
                return rows.end()
        row, run = _DATED
        if rows := run.match(block):
            self.dates.update((int(uid), date) for uid, date in row.findall(block, 0, rows.end()))
            return rows.end()
        return 0

    def add(self, fetch: Fetch, responses: Responses) -> None:
        """A row of another shape. It counts with a UID and one item more: unsolicited ones have flags at most."""
        told: dict[str, int] = {}
        date = None
        for name, value in responses.items(fetch):
            if isinstance(value, Literal):
                responses.skip(value.octets)
            elif name in ("UID", "RFC822.SIZE") and value is not None:
                if not value.isdigit():
                    raise UpstreamError(f"the server lists {name} as {plain(repr(value))}")
                told[name] = int(value)
            elif name == "INTERNALDATE":
                date = value if value and len(value) <= DATE_OCTETS else b""
        uid, size = told.get("UID"), told.get("RFC822.SIZE")
        if size is not None and size > _MOST_OCTETS:
            raise UpstreamError("the server lists a message of more than eight exabytes")
        if uid and size is not None:
            self._uids.append(uid)
            self._sizes.append(size)
        if uid and date is not None:
            self.dates[uid] = date

    def sizes(self) -> dict[int, int]:
        """By UID; the last row counts."""
        return dict(zip(self._uids, self._sizes, strict=True))

    def columns(self) -> tuple["array[int]", "array[int]"]:
        """UIDs ascending, each once, and their sizes."""
        if is_ascending(self._uids):  # as every sane server sends them
            return self._uids, self._sizes
        sizes = self.sizes()
        uids = array("I", sorted(sizes))
        return uids, array("Q", map(sizes.__getitem__, uids))

    def __len__(self) -> int:
        return len(self._uids) + len(self.dates)
