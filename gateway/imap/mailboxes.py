"""How a mailbox is opened: a connection, kept or new, and a look at what is in it."""

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.imap.client import Client
from gateway.imap.listing import Recollection
from gateway.imap.mailbox import Means, UpstreamMailbox, hang_up
from gateway.maildrop import Snapshot
from gateway.ports import Account


class UpstreamMailboxes:
    """Opens mailboxes; implements ports.Mailboxes."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def open(self, account: Account, admit: Callable[[], None]) -> "UpstreamMailbox":
        """One crossing into a thread, whatever it takes: connect and log in or not, admit, SELECT, list."""
        opening = self._means.logins.submit(self._means.connections.open, account, admit, self._looking(account))
        try:
            client, (snapshot, recollection) = await self._means.logins.result(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(partial(hang_up, self._means.connections, account))
            raise
        return UpstreamMailbox(account, client, snapshot, recollection, self._means)

    def _looking(self, account: Account) -> Callable[[Client], tuple[Snapshot, Recollection]]:
        def look(client: Client) -> tuple[Snapshot, Recollection]:
            recollection = Recollection(self._means.listings, account, self._means.emit)
            return recollection.take_snapshot(client, self._means.timeouts.open), recollection

        return look
