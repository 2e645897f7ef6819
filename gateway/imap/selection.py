"""SELECT, and what is asked behind it in the same flight.

IMAPClient waits for the answer to each command; SELECT and FETCH together take one round trip. FETCH is answered
after SELECT (RFC 3501 section 5.5), but the tagged lines of both may come last.
"""

import re
from array import array
from collections.abc import Callable, Iterable
from itertools import chain

from imapclient.imap_utf7 import encode as encode_utf7

from gateway.errors import UpstreamDeclined, UpstreamError, UpstreamUnusable
from gateway.imap.faults import plain
from gateway.imap.responses import Count, Data, Done, Fetch, Responses
from gateway.imap.rows import Rows, is_ascending
from gateway.imap.transport import LINE_LIMIT, Transport
from gateway.imap.uid_set import range_set, uid_sets
from gateway.maildrop import Selected
from gateway.maildrop.listing import MOST_MESSAGES, Question

ARRIVING = 100_000  # messages that may come in while we list
_MOST = 0xFFFFFFFF  # UIDs and UIDVALIDITY are 32-bit, and not zero: RFC 3501 section 2.3.1.1
_UID_OCTETS = 11  # of a UID in the answer to SEARCH, with what stands before it

_CODE = re.compile(rb"\[([A-Za-z-]+)(?: (\(.*\)|[^\]]*))?\]")  # a response code: RFC 3501 section 7.1
# What several servers say in the place of RFC 5530's NONEXISTENT: it is no use to try again.
_NO_FOLDER = re.compile(
    r"(does ?n.t|does not|not) exist|no such (mailbox|folder)|unknown (mailbox|folder)|(mailbox|folder) not found",
    re.IGNORECASE,
)
_NUMBER = re.compile(rb"\d{1,19}")
_COMPACT = re.compile(rb"\(TAG [^()]*\) UID ALL ([\d:,]+)", re.IGNORECASE)  # RFC 4731 section 3.1


class Selection:
    """A mailbox, as the server tells of it command by command. Every method raises UpstreamError."""

    def __init__(self, transport: Transport, folder: str, seconds: float) -> None:
        """`seconds` is the time for each command."""
        self.exists = 0  # messages before the rows of the last command
        self.expunged = 0  # and how many of them were expunged while it was answered
        self.count: int | None = None  # messages, as far as we have heard
        self._transport = transport
        self._folder = folder
        self._seconds = seconds

    def select(self, question: Question) -> tuple[Selected, Rows]:
        """SELECT, and what is asked of its messages."""
        self.count = None
        select, rows = self._transport.new_tag(), Rows()
        fetches = {
            self._transport.new_tag(): _fetch(range_set(ranges), item)
            for ranges, item in ((question.there, b"INTERNALDATE"), (question.sizes, b"RFC822.SIZE"))
            if ranges
        }
        commands = {select: b"SELECT " + _quoted(self._folder)} | fetches
        self._send(b"".join(b"%s %s\r\n" % command for command in commands.items()))
        try:
            codes = self._read_selection(select, rows)
        except UpstreamDeclined as error:
            if _NO_FOLDER.search(str(error)):
                raise UpstreamUnusable(str(error)) from error
            raise
        for tag in fetches:
            self._read_rows(tag, rows)
        return self._told(codes), rows

    def fetch(self, uid_set: str) -> Rows:
        """UIDs and sizes of these UIDs."""
        tag, rows = self._transport.new_tag(), Rows()
        self._begin()
        self._send(b"%s %s\r\n" % (tag, _fetch(uid_set, b"RFC822.SIZE")))
        self._read_rows(tag, rows)
        return rows

    def search(self, *, compact: bool) -> "array[int] | None":
        """All UIDs, ascending; None when the server declines. `compact`: as ranges, by ESEARCH (RFC 4731)."""
        self._begin()
        left = most = self.exists + ARRIVING
        tag = self._transport.new_tag()
        self._send(tag + b" UID SEARCH RETURN (ALL) ALL\r\n" if compact else tag + b" UID SEARCH ALL\r\n")
        limit = LINE_LIMIT + _UID_OCTETS * most
        responses = Responses(self._transport, tag, "asking for all UIDs", line_limit=limit)
        found: list[array[int]] = []
        try:
            while not isinstance(response := responses.next(), Done):
                if isinstance(response, Data) and response.name in _RESULTS:
                    found.append(_RESULTS[response.name](response.text, left))
                    left -= len(found[-1])
                elif isinstance(response, Count):
                    self._hear(response)
        except UpstreamError:
            if not responses.done:
                raise
            return None
        if not found:
            return None
        uids = found.pop() if len(found) == 1 else array("I", chain(*found))
        return uids if is_ascending(uids) else array("I", sorted(set(uids)))

    def sizes_of(self, uids: Iterable[int]) -> dict[int, int]:
        """Octets by UID, of those that are there: without a SELECT before, of the mailbox that is open."""
        sizes: dict[int, int] = {}
        wanted = frozenset(uids)
        for uid_set in uid_sets(sorted(wanted)):
            self.count = len(wanted)  # as many rows as there can be
            sizes |= self.fetch(uid_set).sizes()
        return {uid: octets for uid, octets in sizes.items() if uid in wanted}

    def tells_news(self) -> bool:
        """NOOP, where the mailbox is open already: whether any message came or went, or it may be so."""
        tag, news = self._transport.new_tag(), False
        self._send(tag + b" NOOP\r\n")
        responses = Responses(self._transport, tag, "asking for news")
        while not isinstance(response := responses.next(), Done):
            if isinstance(response, Fetch):  # of flags
                responses.skip_items(response)
            else:
                news |= response.name not in _NO_NEWS
        return news

    def _send(self, commands: bytes) -> None:
        self._transport.allow(self._seconds)
        self._transport.send(commands)

    def _begin(self) -> None:
        """The rows begin: what was heard before is in them."""
        if self.count is None:
            raise UpstreamError("the server does not say how many messages there are")
        if self.count > MOST_MESSAGES:
            raise UpstreamError(f"{self.count} messages are more than the {MOST_MESSAGES} that can be listed")
        self.exists, self.expunged = self.count, 0

    def _hear(self, told: Count) -> None:
        if told.name == "EXISTS":
            self.count = told.number
        elif told.name == "EXPUNGE" and self.count:
            self.count -= 1
            self.expunged += 1

    def _read_selection(self, tag: bytes, rows: Rows) -> dict[bytes, bytes]:
        """The response codes. Rows may come, too, ahead of the tagged line."""
        codes: dict[bytes, bytes] = {}
        responses = Responses(
            self._transport, tag, f"opening the folder {self._folder}", declined=UpstreamDeclined
        )
        while not isinstance(response := responses.next(), Done):
            if isinstance(response, Fetch):
                begins = not rows
                rows.add(response, responses)
                if begins and rows:
                    self._begin()
                self._bound(rows)
            elif isinstance(response, Count):
                self._hear(response)
            elif response.name == "OK":
                codes.update(_code(response.text))
        if not rows:
            self._begin()
        return codes | _code(response.text)

    def _bound(self, rows: Rows) -> None:
        if len(rows) > 2 * self.exists + ARRIVING:  # new ones are told twice
            raise UpstreamError(f"the server lists more than {self.exists} messages, and goes on")

    def _read_rows(self, tag: bytes, rows: Rows) -> None:
        responses = Responses(self._transport, tag, "listing the mailbox")
        try:
            while self._read_block(responses, rows):
                pass
        except UpstreamError:
            # An empty mailbox has no message `*`, and some servers call that an error.
            if self.exists or not responses.done:
                raise

    def _read_block(self, responses: Responses, rows: Rows) -> bool:
        """Take what whole lines have come; False after the tagged OK."""
        self._bound(rows)
        block = self._transport.read_lines()
        end = rows.take(block)
        if end == len(block) and block:
            return True
        self._transport.unread(block[end:])
        response = responses.next()
        if isinstance(response, Fetch):
            rows.add(response, responses)
        elif isinstance(response, Count):
            self._hear(response)
        return not isinstance(response, Done)

    def _told(self, codes: dict[bytes, bytes]) -> Selected:
        uidvalidity = _number(codes, b"UIDVALIDITY")
        if not 0 < uidvalidity <= _MOST:
            raise UpstreamUnusable(f"{self._folder} has no usable UIDVALIDITY, so no unique-id would last")
        permanent = codes.get(b"PERMANENTFLAGS")
        undeletable = permanent is not None and b"\\deleted" not in permanent.lower().strip(b"()").split()
        read_only = undeletable or b"READ-ONLY" in codes
        uidnext = _number(codes, b"UIDNEXT")
        if uidnext > _MOST:
            uidnext = 0  # what cannot be is not told
        return Selected(uidvalidity, self.exists, read_only, uidnext, _number(codes, b"HIGHESTMODSEQ"))


def _quoted(folder: str) -> bytes:
    """A mailbox's name on the wire: in modified UTF-7 (RFC 3501 section 5.1.3), so without line ends."""
    name: bytes = encode_utf7(folder)
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _fetch(uid_set: str, item: bytes) -> bytes:
    return b"UID FETCH %s (UID %s)" % (uid_set.encode("ascii"), item)


# What SELECT tells in response codes, and we use.
_CODES = frozenset({b"UIDVALIDITY", b"UIDNEXT", b"HIGHESTMODSEQ", b"PERMANENTFLAGS", b"READ-ONLY"})


def _code(text: bytes) -> dict[bytes, bytes]:
    """The response code and its argument, if it is one of those."""
    found = _CODE.match(text)
    return {found[1].upper(): found[2] or b""} if found and found[1].upper() in _CODES else {}


def _number(codes: dict[bytes, bytes], name: bytes) -> int:
    """0 where it was not told."""
    value = codes.get(name, b"")
    return int(value) if _NUMBER.fullmatch(value) else 0


def _plain_result(text: bytes, most: int) -> "array[int]":
    """`* SEARCH 1 2 3`"""
    uids = array("I", map(int, text.split()))
    if len(uids) > most:
        raise UpstreamError(f"the server tells of {len(uids) - most} messages too many")
    return uids


def _compact_result(text: bytes, most: int) -> "array[int]":
    """`* ESEARCH (TAG "GW1") UID ALL 1:3`; without ALL there is nothing."""
    uids = array("I")
    result = _COMPACT.match(text)
    for part in result[1].split(b",") if result else ():
        low, _, high = part.partition(b":")
        first, last = sorted((int(low), int(high or low)))
        if last - first > most - len(uids):
            too_many = plain(str(last - first + 1 - most + len(uids)))  # of as many digits as the server likes
            raise UpstreamError(f"the server tells of {too_many} messages too many")
        uids.extend(range(first, last + 1))
    return uids


_NO_NEWS = frozenset({"OK", "FLAGS", "RECENT"})  # in what follows NOOP
_RESULTS: dict[str, Callable[[bytes, int], "array[int]"]] = {"SEARCH": _plain_result, "ESEARCH": _compact_result}
