"""SELECT and the listing of UIDs and sizes: how a snapshot is taken."""

import re
from array import array
from dataclasses import dataclass
from operator import lt

from imapclient.exceptions import IMAPClientReadOnlyError

from gateway.errors import UpstreamError, UpstreamUnusable
from gateway.imap.client import Client
from gateway.imap.faults import translated
from gateway.imap.responses import Done, Fetch, Literal, Responses
from gateway.imap.transport import Transport
from gateway.maildrop import Snapshot

_UID, _SIZE = rb"UID ([1-9]\d{0,9})", rb"RFC822\.SIZE (\d{1,18})"


def _rows(items: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Patterns for one row, and for a run of them."""
    row = rb"\* \d+ FETCH \(" + items + rb"\)\r\n"
    return re.compile(row), re.compile(rb"(?:" + re.sub(rb"\((?=\[|\\d)", rb"(?:", row) + rb")+")


# Nearly all rows that there are; either order is legal.
_UID_FIRST = _rows(_UID + b" " + _SIZE)
_SIZE_FIRST = _rows(_SIZE + b" " + _UID)
_MOST = 0xFFFFFFFF  # UIDs, UIDNEXT and UIDVALIDITY are 32-bit, and not zero: RFC 3501 section 2.3.1.1
_MOST_OCTETS = 2**63 - 1  # RFC 9051 section 9, number64


ARRIVING = 100_000  # messages that may come in while we list


@dataclass(frozen=True, slots=True)
class Selected:
    """What SELECT told."""

    uidvalidity: int
    exists: int
    read_only: bool
    uidnext: int = 0  # 0: not told


def select(client: Client, folder: str, seconds: float) -> Selected:
    """SELECT, or EXAMINE where the server lets us only read. Raises UpstreamError."""
    client.transport.allow(seconds)
    with translated(f"opening {folder}"):
        examined = False
        try:
            told = client.select_folder(folder)
        except IMAPClientReadOnlyError:
            examined = True
            told = client.select_folder(folder, readonly=True)
        uidvalidity = told.get(b"UIDVALIDITY")
        if not uidvalidity or not 0 < uidvalidity <= _MOST:
            raise UpstreamUnusable(f"{folder} has no usable UIDVALIDITY, so no unique-id would last")
        permanent = told.get(b"PERMANENTFLAGS")
        undeletable = permanent is not None and b"\\deleted" not in {flag.lower() for flag in permanent}
        read_only = examined or undeletable or b"READ-ONLY" in told
        uidnext = told.get(b"UIDNEXT") or 0
        return Selected(uidvalidity, client.exists(), read_only, uidnext if 0 < uidnext <= _MOST else 0)


def take_snapshot(client: Client, folder: str, seconds: float) -> Snapshot:
    """The selected mailbox, whole: a listing with fewer rows than messages is asked for again, then refused.

    A short listing shown to a client as its maildrop would make it forget, or fetch again, what is missing.
    """
    for _ in range(2):
        selected = select(client, folder, seconds)
        listing = _list(client.transport, selected.exists, seconds)
        snapshot = listing.snapshot(selected)
        if len(snapshot) >= selected.exists - listing.expunged:
            return snapshot
    raise UpstreamError(f"the server lists {len(snapshot)} of {selected.exists} messages in {folder}")


def _list(transport: Transport, exists: int, seconds: float) -> "_Listing":
    listing = _Listing(transport, exists + ARRIVING)
    if exists:  # `1:*` on an empty mailbox is an error to some servers
        transport.allow(seconds)
        with translated("listing the mailbox"):
            transport.send(listing.tag + b" UID FETCH 1:* (UID RFC822.SIZE)\r\n")
            while listing.read_block():
                pass
    return listing


class _Listing:
    """UIDs and sizes in the order they came, and how many messages were expunged meanwhile."""

    def __init__(self, transport: Transport, most: int) -> None:
        self.tag = transport.new_tag()
        self.expunged = 0
        self._most = most
        self._uids = array("I")
        self._sizes = array("Q")
        self._transport = transport
        self._responses = Responses(transport, self.tag)

    def snapshot(self, selected: Selected) -> Snapshot:
        uids, sizes = self._uids, self._sizes
        if all(map(lt, uids, uids[1:])):  # as every sane server sends them
            return Snapshot(selected.uidvalidity, uids, sizes, selected.read_only, selected.uidnext)
        rows = zip(uids, sizes, strict=True)
        return Snapshot.of(selected.uidvalidity, rows, read_only=selected.read_only, uidnext=selected.uidnext)

    def read_block(self) -> bool:
        """Take what whole lines have come; False after the tagged OK."""
        if len(self._uids) > self._most:
            raise UpstreamError(f"the server lists more than {self._most} messages, and goes on")
        block = self._transport.read_lines()
        end = self._take_rows(block)
        if end == len(block) and block:
            return True
        self._transport.unread(block[end:])
        return self._read_response()

    def _take_rows(self, block: bytes) -> int:
        """Take the plain rows at the beginning, and say where they end."""
        for (row, run), first, second in (
            (_UID_FIRST, self._uids, self._sizes),
            (_SIZE_FIRST, self._sizes, self._uids),
        ):
            if rows := run.match(block):
                ones, others = zip(*row.findall(block, 0, rows.end()), strict=True)
                first.extend(map(int, ones))
                second.extend(map(int, others))
                return rows.end()
        return 0

    def _read_response(self) -> bool:
        """Something other than a plain row: the tagged line, unsolicited data, a row of another shape."""
        response = self._responses.next()
        if isinstance(response, Done):
            return False
        if isinstance(response, Fetch):
            self._add(response)
        elif response.name == "EXPUNGE":
            self.expunged += 1
        return True

    def _add(self, fetch: Fetch) -> None:
        """A row counts only with both its items: unsolicited FETCHes have flags, and perhaps a UID."""
        told: dict[str, int] = {}
        for name, value in self._responses.items(fetch):
            if isinstance(value, Literal):
                self._responses.skip(value.octets)
            elif name in ("UID", "RFC822.SIZE") and value is not None:
                if not value.isdigit():
                    raise UpstreamError(f"the server lists {name} as {value!r}")
                told[name] = int(value)
        if told.get("RFC822.SIZE", 0) > _MOST_OCTETS:
            raise UpstreamError("the server lists a message of more than eight exabytes")
        if len(told) == 2 and told["UID"]:
            self._uids.append(told["UID"])
            self._sizes.append(told["RFC822.SIZE"])
