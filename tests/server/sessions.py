"""Sessions before a fake server, and what they leave there."""

import sqlite3
import time
from pathlib import Path
from typing import Any

from gateway.store import LEDGER_FILE
from tests.fakes.imap import FakeImap
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox

MAIL = [f"Subject: {word}\r\n\r\n".encode() for word in ("one", "two", "three")]


def behind(
    start_gateway: StartGateway, fake: FakeImap, state: Path | None = None, **maildrop: object
) -> GatewayProcess:
    """A gateway with these settings of `maildrop`, and a state folder that another one may have after it."""
    upstream = {
        "url": f"imaps://{fake.host}:{fake.imaps_port}",
        "ca_file": str(fake.ca_file),
        "timeouts": {"connect": 1, "response": 5, "open": 10},
    }
    kept = {"state": str(state)} if state else {}
    return start_gateway(fake, upstream=upstream, maildrop=maildrop, **kept)


def delete(gateway: GatewayProcess, drop: Mailbox, *numbers: int) -> bytes:
    """QUIT's answer."""
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        for number in numbers:
            client.ask(f"DELE {number}")
        return client.ask("QUIT")


def delete_first(gateway: GatewayProcess, drop: Mailbox) -> bytes:
    return delete(gateway, drop, 1)


def shown(gateway: GatewayProcess, drop: Mailbox) -> list[bytes]:
    """The messages that a session sees, whole."""
    with RawClient(gateway.port) as client:
        count = int(client.log_in(drop).split()[3])
        found = [client.message(f"RETR {number}") for number in range(1, count + 1)]
        client.ask("QUIT")
        return found


def in_ledger(state: Path, statement: str) -> list[Any]:
    """Rows of the state file, or a change to it behind the gateway's back."""
    database = sqlite3.connect(state / LEDGER_FILE, isolation_level=None)
    try:
        return database.execute(statement).fetchall()
    finally:
        database.close()


def wait_until_done(fake: FakeImap, verb: str) -> None:
    """Until the upstream has been asked for it."""
    end = time.monotonic() + 10
    while verb not in fake.verbs and time.monotonic() < end:
        time.sleep(0.01)
