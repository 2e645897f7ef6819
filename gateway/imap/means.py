"""What all mailboxes have in common: the connections, the threads, and how long they wait."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from gateway.imap.client import Client
from gateway.imap.connections import Connections
from gateway.imap.link import Timeouts
from gateway.maildrop import Allowance
from gateway.ports import Account, Listings
from gateway.telemetry.events import Event
from gateway.threads import Threads


@dataclass(frozen=True, slots=True)
class Means:
    """What all mailboxes share."""

    connections: Connections
    logins: Threads  # of their own: however many of them stall, mail still moves
    threads: Threads
    timeouts: Timeouts
    emit: Callable[[Event], None]
    listings: Listings
    allowance: Allowance


def hang_up(connections: Connections, account: Account, opening: "Future[tuple[Client, object]]") -> None:
    """Nobody waits any more for what was opened."""
    if not opening.cancelled() and opening.exception() is None:
        connections.give_back(account, opening.result()[0])
