"""PostgreSQL is stopped as by a crash, and started again, while clients come and go."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.faults import Say
from tests.fakes.imap import FakeImap
from tests.faults.rig import listing
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.messages import GALLERY
from tests.servers.postgres import Postgres

USERS = 8
MESSAGES = 200
LOAD_SECONDS = 3.0  # before, without, and after the database
REPLY_SECONDS = 15.0  # to wait at most for the answer to PASS or QUIT; a mail program waits for 110
PATIENCE_SECONDS = 20.0


@dataclass
class Customer:
    """Deletes its first message in each session, and remembers what it was told."""

    drop: Mailbox
    gateways: list[GatewayProcess]
    deleted: set[int] = field(default_factory=set)  # UIDs; +OK to QUIT
    unsure: set[int] = field(default_factory=set)  # no +OK
    logins: list[bytes] = field(default_factory=list)  # answers, in their order
    slowest: float = 0.0  # seconds

    def visit(self, number: int) -> None:
        with RawClient(self.gateways[number % len(self.gateways)].port) as client:
            self._timed(client, f"USER {self.drop.user}")
            reply = self._timed(client, f"PASS {self.drop.password}")
            self.logins.append(reply)
            if not reply.startswith(b"+OK"):
                return
            shown = listing(client).uids
            assert not self.deleted.intersection(shown.values())
            assert client.ask("DELE 1").startswith(b"+OK")
            told = self.deleted if self._timed(client, "QUIT").startswith(b"+OK") else self.unsure
            told.add(shown[1])

    def _timed(self, client: RawClient, command: str) -> bytes:
        began = time.monotonic()
        reply = client.ask(command)
        self.slowest = max(self.slowest, time.monotonic() - began)
        return reply


@contextlib.contextmanager
def coming_and_going(customers: list[Customer]) -> Iterator[None]:
    ended = threading.Event()
    broken: list[BaseException] = []

    def visits(customer: Customer) -> None:
        number = 0
        try:
            while not ended.is_set():
                customer.visit(number)
                number += 1
                time.sleep(0.02)
        except BaseException as error:
            broken.append(error)

    threads = [threading.Thread(target=visits, args=(customer,)) for customer in customers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not broken, broken


@pytest.fixture
def fake() -> Iterator[FakeImap]:
    with FakeImap() as running:
        yield running


@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "promised"])
def test_stopped_and_started_under_load(
    start_gateway: StartGateway, fake: FakeImap, own_postgres: Postgres, tmp_path: Path, deferred: bool
) -> None:
    """`promised`: the upstream carries out no deletion, so that only the database knows of them."""
    url = own_postgres.new_database()
    upstream = {"url": f"imap://127.0.0.1:{fake.imap_port}?tls=none"}
    gateways = [
        start_gateway(fake, state=url, state_folder=str(tmp_path / name), upstream=upstream, tls={})
        for name in ("a", "b")
    ]
    customers = [Customer(new_mailbox(fake), gateways) for _ in range(USERS)]
    for customer in customers:
        customer.drop.deliver([GALLERY["simple"]] * MESSAGES)
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later")) if deferred else None
    with coming_and_going(customers):
        time.sleep(LOAD_SECONDS)
        own_postgres.down()
        marks = [len(customer.logins) for customer in customers]
        time.sleep(LOAD_SECONDS)
        away = [customer.logins[mark + 1 :] for customer, mark in zip(customers, marks, strict=True)]
        own_postgres.up()
        marks = [len(customer.logins) for customer in customers]
        end = time.monotonic() + PATIENCE_SECONDS
        while not all(
            any(reply.startswith(b"+OK") for reply in customer.logins[mark:])
            for customer, mark in zip(customers, marks, strict=True)
        ):
            assert time.monotonic() < end, "logins fail although the database is back"
            time.sleep(0.05)
        time.sleep(LOAD_SECONDS)
    assert {reply[:15] for replies in away for reply in replies} == {b"-ERR [SYS/TEMP]"}
    assert max(customer.slowest for customer in customers) < REPLY_SECONDS
    assert all(customer.deleted for customer in customers)
    for gateway in gateways:
        assert "Traceback" not in gateway.raw_log
        assert "internal error" not in gateway.raw_log
    if rule is not None:
        fake.forgive(rule)
    for customer in customers:
        come_back(customer)


def come_back(customer: Customer) -> None:
    """Two healthy sessions, at either gateway: nothing that was answered +OK is seen, and nothing else is gone."""
    everything = set(range(1, MESSAGES + 1))
    for gateway in customer.gateways:
        with RawClient(gateway.port) as client:
            assert client.log_in(customer.drop).startswith(b"+OK")
            seen = set(listing(client).uids.values())
            assert not seen & customer.deleted
            assert everything - customer.deleted - customer.unsure <= seen
            assert client.ask("QUIT") == b"+OK bye"
    end = time.monotonic() + PATIENCE_SECONDS
    while left := {message.uid for message in customer.drop.messages()} & customer.deleted:
        assert time.monotonic() < end, left
        time.sleep(0.05)
