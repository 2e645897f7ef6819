"""Fixtures for tests that want a server behind the gateway: a pytest plugin."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests import leaks
from tests.fakes.imap import FakeImap
from tests.servers import courier, tls
from tests.servers.courier import Courier
from tests.servers.cyrus import Cyrus
from tests.servers.dovecot import Dovecot, as_shown
from tests.servers.machine import find_program
from tests.servers.postgres import Postgres
from tests.servers.tls import Certificates
from tests.servers.upstream import Stored, Upstream
from tests.skipping import skip_unless_ci


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of server, of which every test of the contract gets one."""

    start: Callable[[Certificates], Upstream]
    shows: Callable[[bytes], bytes]  # what it makes of delivered octets; ``bytes`` when it leaves them alone
    program: str | None = None
    package: str = ""


# Every server here has to pass tests/servers/test_contract.py, and runs in each test that asks for ``upstream``.
SERVERS: dict[str, Kind] = {
    "courier": Kind(Courier, courier.as_shown),
    "cyrus": Kind(Cyrus, bytes),
    "dovecot": Kind(Dovecot, as_shown, "dovecot", "dovecot-imapd"),
    "fake": Kind(FakeImap, bytes),
}

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An account of one test's own on a server that all tests share."""

    server: Upstream
    user: str
    password: str

    def deliver(self, messages: Sequence[bytes], folder: str = "INBOX") -> list[int]:
        return self.server.deliver(self.user, messages, folder)

    def messages(self, folder: str = "INBOX") -> list[Stored]:
        return self.server.messages(self.user, folder)

    def uid_validity(self, folder: str = "INBOX") -> int:
        return self.server.uid_validity(self.user, folder)

    def flag(self, uids: Sequence[int], *flags: str, folder: str = "INBOX") -> None:
        self.server.flag(self.user, uids, *flags, folder=folder)

    def expunge(self, uids: Sequence[int], folder: str = "INBOX") -> None:
        self.server.expunge(self.user, uids, folder)


def requires(program: str, package: str) -> str:
    """Return the program's path; without it skip the test, or fail it in CI."""
    path = find_program(program)
    if path is None:
        skip_unless_ci(f"no {program} on this machine: apt-get install {package}")
    return path


def start(name: str, certificates: Certificates) -> Upstream:
    """Start a server of this kind, or skip the test where it is not installed."""
    kind = SERVERS[name]
    if kind.program is not None:
        requires(kind.program, kind.package)
    return kind.start(certificates)


def new_mailbox(server: Upstream) -> Mailbox:
    number = next(_numbers)
    mailbox = Mailbox(server, f"user{number}@example.org", f"{leaks.PREFIX}{number}")
    server.add_user(mailbox.user, mailbox.password)
    return mailbox


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return tls.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def shared_server(certificates: Certificates) -> Iterator[Callable[[str], Upstream]]:
    """One server of each kind for all tests, started when the first of them asks."""
    running: dict[str, Upstream] = {}
    with contextlib.ExitStack() as stack:

        def shared(name: str) -> Upstream:
            if name not in running:
                running[name] = start(name, certificates)
                stack.callback(running[name].stop)
            return running[name]

        yield shared


@pytest.fixture(scope="session")
def dovecot(shared_server: Callable[[str], Upstream]) -> Dovecot:
    server = shared_server("dovecot")
    assert isinstance(server, Dovecot)
    return server


@pytest.fixture
def mailbox(dovecot: Dovecot) -> Mailbox:
    """An empty mailbox on Dovecot."""
    return new_mailbox(dovecot)


@pytest.fixture(scope="session", params=SERVERS)
def server_name(request: pytest.FixtureRequest) -> str:
    """Run the test once with each kind of server."""
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture(scope="session")
def upstream(server_name: str, shared_server: Callable[[str], Upstream]) -> Upstream:
    return shared_server(server_name)


@pytest.fixture
def upstream_mailbox(upstream: Upstream) -> Mailbox:
    """An empty mailbox on each kind of server."""
    return new_mailbox(upstream)


@pytest.fixture
def own_upstream(server_name: str, certificates: Certificates) -> Iterator[Upstream]:
    """A server that the test may stop."""
    server = start(server_name, certificates)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    """One for all tests that let it run; each has a database of its own there."""
    with Postgres() as running:
        yield running


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """One that the test may stop."""
    with Postgres() as running:
        yield running
