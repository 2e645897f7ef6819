"""How a snapshot is taken: by what is remembered of the mailbox where that proves right, whole where it does not.

After the login that is one flight when nothing is remembered, when nothing changed, and when messages only arrived
or were deleted by us; one or two more when others removed some. QRESYNC would save those, at the price of the
flags of every message that was read since, and of VANISHED for EXPUNGE, which IMAPClient does not know.
"""

import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.errors import StateError, UpstreamError
from gateway.imap.client import Client
from gateway.imap.faults import translated
from gateway.imap.rows import Rows
from gateway.imap.selection import Selection
from gateway.imap.uid_set import uid_sets
from gateway.maildrop import Listing, Selected, Snapshot
from gateway.maildrop.listing import (
    BELIEVED_SECONDS,
    EVERYTHING,
    FEW,
    Answer,
    Exact,
    Outdated,
    Void,
    compare,
    missing,
    question,
    settle,
)
from gateway.ports import Account, Listings
from gateway.telemetry.events import Event, ListingNotKept, ListingVoid

# Sizes that are asked for one by one; where more are missing the mailbox is listed whole.
MOST_MISSING = 1000


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the mailbox gave."""

    snapshot: Snapshot
    why_whole: str = ""  # why everything was asked for; "" where what is remembered was of use
    date: bytes = b""  # the INTERNALDATE of the last message, if it was told
    is_settled: bool = False  # nothing came or went while it was listed


def take_snapshot(client: Client, folder: str, seconds: float) -> Snapshot:
    """SELECT, and all messages. `seconds` is the time for each flight. Raises UpstreamError."""
    return look(client, folder, seconds, None).snapshot


def look(client: Client, folder: str, seconds: float, known: Listing | None) -> Look:
    """As take_snapshot, with what is remembered.

    A listing with fewer rows than messages is asked for again, then refused: shown to a client as its maildrop it
    would make the client forget, or fetch again, what is missing.
    """
    with translated(f"opening {folder}"):
        selection, asked = Selection(client.transport, folder, seconds), question(known)
        told, rows = selection.select(asked)
        why = "nothing is remembered"
        if known is not None and asked != EVERYTHING:
            verdict = _known_again(client, selection, known, told, Answer(rows.dates, rows.sizes()))
            if isinstance(verdict, Exact):
                found = verdict.listing
                snapshot = _opened(client, told, found.uids, found.sizes)
                return Look(snapshot, date=found.date, is_settled=selection.count == len(snapshot))
            rows, why = selection.fetch("1:*"), verdict.why
        columns = _complete(selection, rows)
        if columns is None:
            told, rows = selection.select(EVERYTHING)
            columns = _complete(selection, rows)
        if columns is None:
            raise UpstreamError(f"the server lists {len(rows)} of {selection.exists} messages in {folder}")
        snapshot = _opened(client, told, *columns)
        return Look(snapshot, why, is_settled=selection.count == len(snapshot))


def _opened(client: Client, told: Selected, uids: "array[int]", sizes: "array[int]") -> Snapshot:
    client.has_selected(read_only=told.read_only)
    return Snapshot(told.uidvalidity, uids, sizes, told.read_only, told.uidnext, told.highestmodseq)


def _complete(selection: Selection, rows: Rows) -> tuple["array[int]", "array[int]"] | None:
    """UIDs ascending, and their sizes, if none is missing."""
    uids, sizes = rows.columns()
    return (uids, sizes) if len(uids) >= selection.exists - selection.expunged else None


def _known_again(
    client: Client, selection: Selection, known: Listing, told: Selected, answer: Answer
) -> Exact | Void:
    """What is remembered, made up to date."""
    verdict = compare(known, told, answer)
    if isinstance(verdict, Exact) and selection.expunged:
        return _by_all_uids(client, selection, known, answer)  # it may be one of the rows that was expunged
    if isinstance(verdict, Outdated):
        return _by_all_uids(client, selection, known, answer)
    return verdict


def _by_all_uids(client: Client, selection: Selection, known: Listing, answer: Answer) -> Exact | Void:
    """All UIDs, and the sizes that are not known."""
    uids = selection.search(compact=not {"ESEARCH", "IMAP4REV2"}.isdisjoint(client.announced()))
    if uids is None:
        return Void("the server does not tell all UIDs")
    there = selection.exists - selection.expunged
    wanted = missing(known, answer, uids)
    if len(wanted) > MOST_MISSING:
        return Void(f"{len(wanted)} sizes are missing")
    sizes = dict(answer.sizes)
    for uid_set in uid_sets(wanted):
        sizes |= selection.fetch(uid_set).sizes()
        there -= selection.expunged
    verdict = settle(known, Answer(answer.dates, sizes), uids)
    if isinstance(verdict, Exact) and len(verdict.listing.uids) < there:
        return Void(f"the server tells of {len(verdict.listing.uids)} of {there} messages")
    return verdict


class Recollection:
    """What is remembered of one maildrop, from the login to the end of the session. Blocking, as all here is."""

    def __init__(self, listings: Listings, account: Account, emit: Callable[[Event], None]) -> None:
        self._listings = listings
        self._key, self._folder, self._user = account.maildrop_key, account.folder, account.user
        self._emit = emit
        self._kept = listings.recall(self._key)
        self._looked = 0.0 if self._kept is None else self._kept.looked
        self._known = self._kept if 0 <= time.time() - self._looked < BELIEVED_SECONDS else None
        self._is_fresh = False  # the snapshot has no size that was not told on this connection

    def look(self, client: Client, seconds: float) -> Look:
        """Raises UpstreamError."""
        found = look(client, self._folder, seconds, self._known)
        self._is_fresh = bool(found.why_whole)
        if found.why_whole:
            self._looked = time.time()
            if question(self._known) != EVERYTHING:
                self._emit(ListingVoid(self._user, found.why_whole))
        self._learn(Listing.of(found.snapshot, self._looked, found.date))
        return found

    def demand_same(self, client: Client, seconds: float, listed: Mapping[int, int]) -> None:
        """Before messages are deleted: they must have the sizes, by UID, that they are listed with.

        What is remembered is proved by few questions, and a server that gives UIDs a second time may answer those
        as before. Nothing irreversible is done on such a proof. Raises UpstreamError.
        """
        if self._is_fresh:
            return
        with translated("looking at what is to be deleted"):
            now = Selection(client.transport, self._folder, seconds).sizes_of(listed)
        for uid, octets in now.items():
            if octets != listed[uid]:
                self._learn(None)
                raise UpstreamError(f"UID {uid} is another message than it was, under the same UIDVALIDITY")

    def deleted(self, uids: Iterable[int]) -> None:
        """By us, or nearly so: the next look asks whether they are gone."""
        if self._known is not None:
            self._learn(self._known.less(uids))

    def _learn(self, listing: Listing | None) -> None:
        self._known = listing
        try:
            if listing is None or listing.left < FEW:
                if self._kept is not None:
                    self._kept = None
                    self._listings.forget(self._key)
            elif listing.is_news_to(self._kept):
                self._kept = listing
                self._listings.keep(self._key, listing)
        except StateError as error:  # the next login only takes longer
            self._emit(ListingNotKept(self._user, str(error)))


class NoListings:
    """Implements ports.Listings: remembers nothing."""

    def recall(self, maildrop_key: str) -> None:
        """Nothing."""

    def keep(self, maildrop_key: str, listing: Listing) -> None:
        """No."""

    def forget(self, maildrop_key: str) -> None:
        """Already."""
