"""A fake server with three messages, and the gateway's way to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.imap.connections import Connections
from gateway.imap.link import NO_TOKENS, Timeouts
from gateway.imap.listing import NoListings
from gateway.imap.mailbox import UpstreamMailbox
from gateway.imap.mailboxes import UpstreamMailboxes
from gateway.imap.means import Means
from gateway.imap.warm import Limits
from gateway.maildrop import Allowance, CommitPlan, OnDelete, Policy
from gateway.ports import AccessTokens, Account, Endpoint, Listings, TlsMode
from gateway.sasl import Credentials, Secret
from gateway.telemetry import Event
from gateway.threads import Threads
from tests.fakes.faults import Bye, Close
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.servers.tls import Certificates

ONE = b"Subject: one\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\n\r\nsecond\r\n"
THREE = b"Subject: three\r\n\r\nthird\r\n"

PATIENT = Timeouts(20, 20, 20)
HASTY = Timeouts(0.5, 0.3, 0.6)  # where the server is going to be silent
THREADS = 8
BOUND = 60.0  # seconds that nothing here takes

# What a login sends: on a connection that was kept, and on a new one.
POLL = ["SELECT", "UID FETCH"]
COLD = ["LOGIN", *POLL]
# When the connection breaks: before the command is done, after it, or with a BYE.
BREAKS: list[Fault] = [Close(), Close(done=True), Close(reset=True), Bye(), Bye(done=True)]


@dataclass
class Upstream:
    """Opens mailboxes of a fake server, and closes them in the end."""

    fake: FakeImap
    timeouts: Timeouts = PATIENT
    endpoint: Endpoint = field(init=False)
    events: list[Event] = field(default_factory=list)
    opened: list[UpstreamMailbox] = field(default_factory=list)
    listings: Listings | None = None
    tokens: AccessTokens = NO_TOKENS

    def __post_init__(self) -> None:
        self.endpoint = Endpoint(self.fake.host, self.fake.imap_port, TlsMode.NONE)
        self.threads = Threads(THREADS)
        self.connections = self.keeping(Limits(connections=0))

    def account(
        self,
        user: str = "ann",
        password: str = "secret",
        folder: str = "INBOX",
        *,
        on_delete: OnDelete = OnDelete.EXPUNGE,
        retrieved_flag: str | None = "\\Seen",
    ) -> Account:
        return Account(
            self.endpoint, Credentials(user, Secret(password)), folder, Policy(on_delete, retrieved_flag)
        )

    def keeping(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> Connections:
        """From now on connections stay warm as these limits have it."""
        self.connections = Connections(self.timeouts, limits, self.threads, self.events.append, clock, self.tokens)
        return self.connections

    def mailboxes(self) -> UpstreamMailboxes:
        self.connections._timeouts = self.timeouts  # which the test may have changed
        emit = self.events.append
        listings = self.listings or NoListings()
        return UpstreamMailboxes(
            Means(self.connections, self.threads, self.threads, self.timeouts, emit, listings, Allowance())
        )

    async def open(
        self, account: Account | None = None, admit: Callable[[], None] = lambda: None
    ) -> UpstreamMailbox:
        async with asyncio.timeout(BOUND):
            mailbox = await self.mailboxes().open(account or self.account(), admit)
        self.opened.append(mailbox)
        return mailbox

    async def close(self) -> None:
        for mailbox in self.opened:
            await mailbox.close()
        self.connections.close(BOUND)
        self.threads._pool.shutdown(wait=True)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def poll(upstream: Upstream, account: Account | None = None) -> UpstreamMailbox:
    """A session, from login to QUIT."""
    mailbox = await upstream.open(account)
    await mailbox.close()
    return mailbox


async def settled(done: Callable[[], bool]) -> None:
    """What nobody waits for has happened."""
    async with asyncio.timeout(BOUND):
        while not done():  # noqa: ASYNC110 - threads of the fake server's do it
            await asyncio.sleep(0.005)


async def read(mailbox: UpstreamMailbox, uid: int, octets: int | None = None) -> bytes:
    """A whole message."""
    async with asyncio.timeout(BOUND):
        body = await mailbox.open_body(uid, octets)
        try:
            return b"".join([block async for block in body])
        finally:
            await body.aclose()


async def commit(
    mailbox: UpstreamMailbox, *, delete: tuple[int, ...] = (), retrieved: tuple[int, ...] = ()
) -> None:
    async with asyncio.timeout(BOUND):
        await mailbox.commit(CommitPlan(mailbox.snapshot.uidvalidity, delete, retrieved))


def uids(fake: FakeImap) -> list[int]:
    return [stored.uid for stored in fake.messages("ann")]


def flags(fake: FakeImap) -> dict[int, set[str]]:
    return {stored.uid: set(stored.flags) for stored in fake.messages("ann")}


def since_login(fake: FakeImap) -> list[str]:
    return fake.verbs[fake.verbs.index("UID FETCH") + 1 :]


def prepared(server: FakeImap) -> FakeImap:
    server.add_user("ann", "secret")
    server.deliver("ann", [ONE, TWO, THREE])
    return server


@pytest.fixture
def fake() -> Iterator[FakeImap]:
    with FakeImap() as server:
        yield prepared(server)


@pytest.fixture
def others(fake: FakeImap) -> FakeImap:
    """Somebody else has flagged message 3 as deleted."""
    fake.flag("ann", [3], "\\Deleted")
    return fake


@pytest.fixture
def secure_fake(certificates: Certificates) -> Iterator[FakeImap]:
    with FakeImap(certificates) as server:
        yield prepared(server)


@pytest.fixture
async def upstream(fake: FakeImap) -> AsyncIterator[Upstream]:
    made = Upstream(fake)
    yield made
    await made.close()


@pytest.fixture
async def secure_upstream(secure_fake: FakeImap) -> AsyncIterator[Upstream]:
    """Over implicit TLS; the test may choose another endpoint."""
    made = Upstream(secure_fake)
    made.endpoint = secured(secure_fake, TlsMode.IMPLICIT)
    yield made
    await made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def warm(upstream: Upstream, clock: Clock) -> Upstream:
    """Connections are kept, within the usual limits."""
    upstream.keeping(Limits(), clock)
    return upstream


@pytest.fixture
def secure_warm(secure_upstream: Upstream, clock: Clock) -> Upstream:
    secure_upstream.keeping(Limits(), clock)
    return secure_upstream


def secured(server: FakeImap, mode: TlsMode, *, host: str = "localhost", trusted: bool = True) -> Endpoint:
    port = server.imaps_port if mode is TlsMode.IMPLICIT else server.imap_port
    ca_file: Path | None = server.ca_file if trusted else None
    return Endpoint(host, port or 0, mode, ca_file)
