"""Mailboxes that warm connections still have open, and that nothing was done to since they were listed.

Between SELECT and the next one the server tells of whatever comes and goes (RFC 3501 section 7.3.1), so NOOP says
whether the list still is the mailbox: for clients that look every few seconds, at a fifth of what SELECT costs the
server.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from gateway.imap.client import Client
from gateway.imap.faults import translated
from gateway.imap.listing import Look, Recollection
from gateway.imap.selection import Selection
from gateway.maildrop import Snapshot

# After SELECT. There are servers that tell NOOP nothing: new mail is shown so much later then.
VIEW_SECONDS = 30.0
VIEW_MESSAGES = 10_000  # 120 kB, which each warm connection may keep

Opened = tuple[Snapshot, Recollection]


@dataclass(frozen=True, slots=True)
class _View:
    folder: str
    opened: Opened
    since: float  # before SELECT
    activity: int  # of the connection, when the list was complete


class Views:
    """Any thread may call, for a connection that is its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of: WeakKeyDictionary[Client, _View] = WeakKeyDictionary()

    def find(self, client: Client, folder: str, seconds: float) -> Opened | None:
        """The mailbox, if it is as it was. `seconds` is the time for the flight. Raises UpstreamError."""
        view = self._of.pop(client, None)
        if view is None or (view.folder, view.activity) != (folder, client.transport.activity):
            return None
        if self._clock() - view.since > VIEW_SECONDS:
            return None
        with translated(f"looking at {folder}"):
            if Selection(client.transport, folder, seconds).tells_news():
                return None
        self._of[client] = replace(view, activity=client.transport.activity)
        return view.opened

    def forget(self, client: Client) -> None:
        self._of.pop(client, None)

    def look(self, client: Client, folder: str, recollection: Recollection, seconds: float) -> Opened:
        """SELECT and list the mailbox. `seconds` is the time for each flight. Raises UpstreamError."""
        since = self._clock()
        found: Look = recollection.look(client, seconds)
        opened = found.snapshot, recollection
        if found.is_settled and len(found.snapshot) <= VIEW_MESSAGES:
            self._of[client] = _View(folder, opened, since, client.transport.activity)
        return opened
