"""Several processes behind one port, and clients that know which of them they have."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.imap import FakeImap
from tests.gateway_process import GatewayProcess
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates

MAIL = [f"Subject: {word}\r\n\r\n".encode() for word in ("one", "two", "three")]
WORKERS = 3
TRIES = 200  # the system chooses the worker: one of three is missed so often once in 10 to the 35th

Connect = Callable[[GatewayProcess, int], RawClient]


def pids(gateway: GatewayProcess) -> list[int]:
    """Of the workers."""
    return [int(pid) for pid in Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def fake(certificates: Certificates) -> Iterator[FakeImap]:
    with FakeImap(certificates) as running:
        yield running


@pytest.fixture
def drop(fake: FakeImap) -> Mailbox:
    made = new_mailbox(fake)
    made.deliver(MAIL)
    return made


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A connection to the worker of that number. The gateway logs at level debug, and gets no others meanwhile."""
    with contextlib.ExitStack() as open_ones:

        def to(gateway: GatewayProcess, worker: int) -> RawClient:
            for _ in range(TRIES):
                client = open_ones.enter_context(RawClient(gateway.port))
                if gateway.wait_for("connection opened")["worker"] == worker:
                    return client
                client.close()
                gateway.wait_for("connection ended without a login")  # it counts until then
            raise AssertionError(f"worker {worker} gets no connections")

        yield to
