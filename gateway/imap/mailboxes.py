"""How a mailbox is opened: a connection, kept or new, and a look at what is in it."""

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.imap.client import Client
from gateway.imap.listing import Recollection
from gateway.imap.mailbox import UpstreamMailbox
from gateway.imap.means import Means, hang_up
from gateway.imap.view import Opened, Views
from gateway.maildrop import Snapshot
from gateway.ports import Account, believe


class UpstreamMailboxes:
    """Opens mailboxes; implements ports.Upstream."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._views = Views()

    async def open(
        self, account: Account, admit: Callable[[], None], examine: Callable[[Snapshot], None] = believe
    ) -> UpstreamMailbox:
        """One crossing into a thread, whatever it takes: to connect and log in or not, and all that follows."""
        opening = self._means.logins.submit(self._open, account, admit, examine)
        try:
            client, (snapshot, recollection) = await self._means.logins.result(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(partial(hang_up, self._means.connections, account))
            raise
        return UpstreamMailbox(account, client, snapshot, recollection, self._means)

    def _open(
        self, account: Account, admit: Callable[[], None], examine: Callable[[Snapshot], None]
    ) -> tuple[Client, Opened]:
        connections, seconds = self._means.connections, self._means.timeouts.open

        def look(client: Client) -> Opened:
            known = self._views.find(client, account.folder, seconds)
            return known or self._views.look(client, account.folder, self._recollect(account), seconds)

        client, found = connections.open(account, admit, look)
        try:
            examine(found[0])
        except BaseException:
            self._views.forget(client)  # what is not believed is asked anew
            connections.give_back(account, client)
            raise
        return client, found

    def _recollect(self, account: Account) -> Recollection:
        return Recollection(self._means.listings, account, self._means.emit)
