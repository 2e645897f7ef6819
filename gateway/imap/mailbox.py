"""The maildrop's other end: an open IMAP mailbox, with its connection replaced when it drops."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from gateway.errors import (
    BadCredentials,
    GatewayError,
    MaildropInUse,
    Overloaded,
    SignInNeeded,
    StateError,
    StoredSecretRefused,
    UpstreamError,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
)
from gateway.imap import commit
from gateway.imap.batch import Batch, Put
from gateway.imap.bodies import BodyReader, UpstreamBody
from gateway.imap.client import Client
from gateway.imap.connections import RETRY_WITHIN_SECONDS
from gateway.imap.faults import silent_about, translated
from gateway.imap.listing import Recollection
from gateway.imap.means import Means, hang_up
from gateway.imap.pursuit import HeldBody, Pursuit
from gateway.imap.uid_set import uid_sets
from gateway.maildrop import CommitPlan, ReadAhead, Snapshot, Window, given_anew
from gateway.ports import Account, Body, Granted, forget_copied
from gateway.telemetry.events import CommandFailed, UpstreamReconnected

# The rest of a body that nobody wants: up to so many octets it is read and the connection kept.
DISCARD_OCTETS = 1_048_576

# What is read ahead when QUIT comes: so long its end is waited for, rather than a new connection made.
UNWANTED_SECONDS = 0.3

_T = TypeVar("_T")


@contextlib.contextmanager
def _let_in() -> Iterator[None]:
    """The client is in: what fails now is never its password, nor another session of its own."""
    try:
        yield
    except (BadCredentials, MaildropInUse, SignInNeeded, StoredSecretRefused, StateError) as error:
        raise UpstreamRefused(str(error)) from error


class UpstreamMailbox:
    """Implements ports.Mailbox. One operation at a time, as POP3 has it."""

    def __init__(
        self, account: Account, client: Client, snapshot: Snapshot, recollection: Recollection, means: Means
    ) -> None:
        self.snapshot = snapshot
        self._account = account
        self._recollection = recollection
        self._client: Client | None = client
        self._working: Future[Any] | None = None  # what a thread did last with the connection, or does
        self._listed = snapshot  # as the mailbox looked on this connection
        self._connections = means.connections
        self._threads = means.threads
        self._timeouts = means.timeouts
        self._emit = means.emit
        ahead = ReadAhead(snapshot, means.allowance)
        self._ahead = Pursuit(ahead, self._fetch_some, account.user, means.emit)
        self._sizes_differ = False  # this server's sizes are not to be relied on

    async def open_body(self, uid: int, octets: int | None = None) -> Body:
        held = await self._ahead.fetch(uid, octets)
        return HeldBody(held) if held is not None else await self._open_alone(uid, octets)

    async def _open_alone(self, uid: int, octets: int | None) -> UpstreamBody:
        listed = self.snapshot.size_of(uid)
        if octets is not None and octets >= listed:
            octets = None
        lengths: list[int] = []

        def begin(client: Client) -> UpstreamBody:
            client.transport.allow(self._timeouts.response)
            with translated(f"fetching UID {uid}"):
                reader = BodyReader(client.transport, uid, listed, octets)
                first = reader.open()
            # A server that does not do ranges sends the whole where its beginning was asked for.
            if reader.octets not in {listed, min(octets or listed, listed)}:
                self._doubt_length(uid, listed, reader.octets, lengths)
            return UpstreamBody(self, client, reader, first)

        return await self._with_client(begin)

    def _doubt_length(self, uid: int, listed: int, came: int, lengths: list[int]) -> None:
        """Not what was listed: cut short, or made up because the message is gone, or Exchange, whose sizes may not
        be those of the bodies. A new connection tells: one that sends the same again means it.
        """
        if self._sizes_differ:
            return
        lengths.append(came)
        if len(lengths) == 1:
            raise UpstreamUnreachable(f"UID {uid} has {listed} octets in the listing and comes with {came}")
        if len(set(lengths)) > 1:
            raise UpstreamError(f"UID {uid} comes with {' and then '.join(map(str, lengths))} octets")
        self._sizes_differ = True

    def at_hand(self, uid: int, octets: int | None = None) -> bytes | None:
        return self._ahead.at_hand(uid, octets)

    def peek(self, uid: int) -> bytes | None:
        return self._ahead.peek(uid)

    async def _fetch_some(self, window: Window, octets: int | None, put: Put) -> None:
        """Those that come as they are listed. Raises GatewayError."""
        client = self._client
        if client is None:
            return
        loop, left = asyncio.get_running_loop(), dict(window)

        def take(uid: int, body: bytes) -> None:
            if self._is_wanted(left, uid, len(body), octets):
                put(uid, body)

        def take_rest(batch: Batch) -> None:
            """In a thread."""
            with translated("reading ahead"):
                for uid, body in batch.rest():
                    if self._is_wanted(left, uid, len(body), octets):
                        loop.call_soon_threadsafe(put, uid, body)

        for uid_set in uid_sets(window):
            client.transport.allow(self._timeouts.response)
            batch = Batch(client.transport, uid_set, window, octets)
            await self._listen(client, batch, take)
            if batch.done:
                continue
            try:
                await self._guarded(client, partial(take_rest, batch))
            except Overloaded:  # nobody will read the rest of the answer
                self._drop(client)
                raise

    def _is_wanted(self, left: dict[int, int], uid: int, length: int, octets: int | None) -> bool:
        """Once for each that is `left`: nothing else is held, whatever a server sends, and how often."""
        if length > left.get(uid, -1):
            return False
        listed = self.snapshot.size_of(uid)
        if not self._sizes_differ and length != min(listed, octets or listed):
            return False
        del left[uid]
        return True

    async def _listen(self, client: Client, batch: Batch, put: Put) -> None:
        """In the event loop: no thread is at work, so whoever is cancelled may close the connection."""
        try:
            with self._doubtful_after_faults(client), translated("reading ahead"):
                async with asyncio.timeout(self._timeouts.response):
                    await batch.listen(put)
        except asyncio.CancelledError:
            self._drop(client)
            raise

    def learn(self, uid: int, octets: int) -> None:
        """An IMAP server is not told what it should know."""

    async def commit(self, plan: CommitPlan, on_copied: Callable[[Sequence[int]], None] = forget_copied) -> bool:
        copied = set(plan.copied)
        await self._ahead.stop(UNWANTED_SECONDS)

        def note_copied(uids: Sequence[int]) -> None:
            there = self._listed.sizes_of(uids)  # a COPY of what is away for a moment is OK, and copies nothing
            copied.update(there)
            on_copied(tuple(there))

        def delete(client: Client) -> bool:
            self._recollection.demand_same(client, self._timeouts.response, self._listed.sizes_of(plan.delete))
            left = replace(plan, copied=frozenset(copied))
            commit.delete(client, left, self._account, self._timeouts.response, note_copied)
            self._recollection.deleted(plan.delete)
            return len(self._listed.sizes_of(plan.delete)) == len(plan.delete)

        def mark(client: Client) -> None:
            commit.mark_retrieved(client, plan, self._account.policy, self._timeouts.response)

        done = await self._with_client(delete) if plan.delete else True
        if self.snapshot.read_only or not plan.retrieved:
            return done
        try:
            await self._with_client(mark)
        except UpstreamError as error:  # nobody loses mail by it: no reason to tell the client that QUIT failed
            self._emit(CommandFailed(self._account.user, "QUIT", str(error)))
        return done

    def hurry(self) -> None:
        """Nothing goes on here without somebody who waits."""

    async def close(self) -> None:
        """Nobody waits for the farewell, where there is one."""
        await self._ahead.stop()
        client = self._client
        if client is None:
            return
        if self._working is not None and not self._working.done():
            self._abandon_at_work(client, self._working)
        else:
            self._client = None
            self._connections.give_back(self._account, client)

    async def read_block(self, client: Client, reader: BodyReader) -> bytes:
        """The next block of a body that open_body began."""

        def read() -> bytes:
            client.transport.allow(self._timeouts.response)
            with translated("fetching a message"):
                return reader.read()

        with _let_in():
            return await self._guarded(client, read)

    async def abandon(self, client: Client, reader: BodyReader) -> None:
        """Take no more of a body: read the rest where it is short, else give the connection up."""
        if reader.finished or client is not self._client:
            return
        if reader.left > DISCARD_OCTETS:
            self._drop(client)
            return

        def discard() -> None:
            client.transport.allow(self._timeouts.response)
            with translated("fetching a message"):
                reader.discard()

        try:
            await self._guarded(client, discard)
        except GatewayError:
            self._drop(client)

    async def _with_client(self, work: Callable[[Client], _T]) -> _T:
        """Do it; where the connection turns out to be lost, once more on a new one."""
        await self._ahead.settled()
        with _let_in():
            return await self._on_this_or_the_next(work)

    async def _on_this_or_the_next(self, work: Callable[[Client], _T]) -> _T:
        began = time.monotonic()
        try:
            return await self._once(work)
        except UpstreamSilent:
            raise
        except (UpstreamUnreachable, BadCredentials) as error:
            may_mend = isinstance(error, UpstreamUnreachable) or isinstance(self._account.credentials, Granted)
            if not may_mend or time.monotonic() - began > RETRY_WITHIN_SECONDS:
                raise
            if self._client is not None:  # its access token is good no more; a new connection has another
                self._drop(self._client)
            self._emit(UpstreamReconnected(self._account.user, str(error)))
        return await self._once(work)

    async def _once(self, work: Callable[[Client], _T]) -> _T:
        client = self._client or await self._replacement()
        return await self._guarded(client, lambda: work(client))

    async def _replacement(self) -> Client:
        reconnecting = self._threads.submit(self._reconnect)
        try:
            self._client, self._listed = client, _ = await self._threads.result(reconnecting)
        except asyncio.CancelledError:
            reconnecting.add_done_callback(partial(hang_up, self._connections, self._account))
            raise
        return client

    async def _guarded(self, client: Client, work: Callable[[], _T]) -> _T:
        """In a thread."""
        self._working = working = self._threads.submit(work)
        try:
            with self._doubtful_after_faults(client):
                return await self._threads.result(working)
        except asyncio.CancelledError:
            self._abandon_at_work(client, working)
            raise

    @contextlib.contextmanager
    def _doubtful_after_faults(self, client: Client) -> Iterator[None]:
        """A fault within an answer leaves the connection in doubt, and ends it."""
        try:
            with silent_about(*client.secrets):
                yield
        except UpstreamRefused:
            raise  # a tagged NO: the connection is as good as before
        except UpstreamError:
            self._drop(client)
            raise

    def _abandon_at_work(self, client: Client, working: "Future[Any]") -> None:
        """A thread may be reading still: it is woken, and the connection is closed when it has ended."""
        if self._client is client:
            self._client = None
        client.transport.abort()
        working.add_done_callback(lambda _: client.transport.close())

    def _reconnect(self) -> tuple[Client, Snapshot]:
        client = self._connections.log_in(self._account)
        try:
            with silent_about(*client.secrets):
                listed = self._recollection.look(client, self._timeouts.open).snapshot
            self._recognise(listed)
            client.transport.end_by(math.inf)
        except BaseException:
            client.transport.close()
            raise
        return client, listed

    def _recognise(self, now: Snapshot) -> None:
        """Is it the mailbox of our snapshot? Some servers reuse UIDs after a restart, and UIDVALIDITY stays."""
        if now.uidvalidity != self.snapshot.uidvalidity:
            raise UpstreamError("UIDVALIDITY changed during the session")
        if given_anew(self.snapshot.uidnext, now.uidnext):
            raise UpstreamError("UIDNEXT has shrunk during the session: UIDs are given anew")
        if now.uids == self.snapshot.uids and now.sizes == self.snapshot.sizes:
            return
        sizes = dict(zip(now.uids, now.sizes, strict=True))
        for uid, size in zip(self.snapshot.uids, self.snapshot.sizes, strict=True):
            if sizes.get(uid, size) != size:
                raise UpstreamError(f"UID {uid} is another message than it was, under the same UIDVALIDITY")

    def _drop(self, client: Client) -> None:
        client.transport.close()
        if self._client is client:
            self._client = None
