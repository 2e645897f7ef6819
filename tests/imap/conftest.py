"""A fake server with three messages, and the gateway's way to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.imap.link import Timeouts
from gateway.imap.mailbox import UpstreamMailbox, UpstreamMailboxes
from gateway.maildrop import CommitPlan, OnDelete, Policy
from gateway.ports import Account, Endpoint, TlsMode
from gateway.sasl import Credentials, Secret
from gateway.telemetry import Event
from gateway.threads import Threads
from tests.fakes.faults import Bye, Close
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.servers import tls
from tests.servers.tls import Certificates

ONE = b"Subject: one\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\n\r\nsecond\r\n"
THREE = b"Subject: three\r\n\r\nthird\r\n"

PATIENT = Timeouts(20, 20, 20)
HASTY = Timeouts(0.5, 0.3, 0.6)  # where the server is going to be silent
BOUND = 60.0  # seconds that nothing here takes

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

    def __post_init__(self) -> None:
        self.endpoint = Endpoint(self.fake.host, self.fake.imap_port, TlsMode.NONE)
        self.threads = Threads(8)

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

    async def open(
        self, account: Account | None = None, admit: Callable[[], None] = lambda: None
    ) -> UpstreamMailbox:
        mailboxes = UpstreamMailboxes(self.threads, self.threads, self.timeouts, self.events.append)
        async with asyncio.timeout(BOUND):
            mailbox = await mailboxes.open(account or self.account(), admit)
        self.opened.append(mailbox)
        return mailbox

    async def close(self) -> None:
        for mailbox in self.opened:
            await mailbox.close()
        self.threads._pool.shutdown(wait=True)


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


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return tls.make(tmp_path_factory.mktemp("tls"))


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


def secured(server: FakeImap, mode: TlsMode, *, host: str = "localhost", trusted: bool = True) -> Endpoint:
    port = server.imaps_port if mode is TlsMode.IMPLICIT else server.imap_port
    ca_file: Path | None = server.ca_file if trusted else None
    return Endpoint(host, port or 0, mode, ca_file)
