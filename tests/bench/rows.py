"""The rows of the table: which work, on which mailbox, by whom, and what is wanted of the gateway."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from tests.bench import limit
from tests.bench.client import Address, Pop3
from tests.bench.mail import LARGE_OCTETS, NOTE_OCTETS, Mailbox
from tests.bench.memory import now
from tests.bench.subjects import Subject

FAR_SECONDS = 0.020  # each way
Way = Enum("Way", "CLEAR TLS FAR")  # between client, server and upstream: in clear, TLS on both sides, 40 ms

# What a subject does, so often, with this mailbox; and its rate, time or size in the row's unit.
Work = Callable[[Subject, Mailbox, int], float]
Limit = Callable[[Address, Mailbox, int], float]


@dataclass(frozen=True, slots=True)
class Row:
    key: str  # for --rows
    title: str
    unit: str
    goal: float  # how many times better than the peer
    mailbox: Mailbox
    amount: int  # of polls, messages or sessions
    work: Work
    limit: Limit | None = None
    way: Way = Way.CLEAR
    subjects: tuple[str, ...] = ("gateway", "peer")
    peer_amount: int = 0  # where every one takes the same time, and long; 0: as many
    cold: bool = False  # forget the mailbox before each run
    least: bool = False  # less is better
    native_goal: float = 0.0  # how many times better than Dovecot's own POP3 on the files

    def amount_for(self, subject: str) -> int:
        return self.peer_amount or self.amount if subject == "peer" else self.amount


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of it: `part` of each row's polls, and mailboxes no larger than this."""

    rounds: int
    part: float = 1.0
    most_messages: int = 1_000_000
    large_octets: int = LARGE_OCTETS
    large_count: int = 20


FULL = Scale(rounds=5)
QUICK = Scale(rounds=3, part=0.4, large_count=6)
TINY = Scale(rounds=1, part=0.02, most_messages=20, large_octets=100_000, large_count=3)


def poll(subject: Subject, mailbox: Mailbox, times: int) -> float:
    """Polls a second: connect, USER, PASS, STAT, QUIT."""
    user = mailbox.user()
    begin = time.perf_counter()
    for _ in range(times):
        client = Pop3(subject.address)
        client.log_in(user)
        count = client.stat()
        client.quit()
    seconds = time.perf_counter() - begin
    _expect(count, mailbox.count)
    return times / seconds


def retrieve(subject: Subject, mailbox: Mailbox, count: int) -> float:
    """Messages a second, by RETR one after the other."""
    return count / _retrieve(subject, mailbox, count)[0]


def transfer(subject: Subject, mailbox: Mailbox, count: int) -> float:
    """Megabytes a second, likewise."""
    seconds, octets = _retrieve(subject, mailbox, count)
    return octets / 1e6 / seconds


def open_listed(subject: Subject, mailbox: Mailbox, _: int) -> float:
    """Seconds from the connection to the end of STAT, UIDL and LIST."""
    begin = time.perf_counter()
    client = Pop3(subject.address)
    client.log_in(mailbox.user())
    count = client.stat()
    client.octets(b"UIDL\r\n")
    client.octets(b"LIST\r\n")
    seconds = time.perf_counter() - begin
    client.quit()
    _expect(count, mailbox.count)
    return seconds


def idle(subject: Subject, mailbox: Mailbox, sessions: int) -> float:
    """kB that one more session takes, logged in and silent; users and addresses are many, as in life."""
    before = now(subject.group)
    clients: list[Pop3] = []
    try:
        for number in range(sessions):
            client = Pop3(subject.address, source=f"127.0.1.{number % 200 + 1}")
            clients.append(client)
            client.log_in(mailbox.user(number))
            _expect(client.stat(), mailbox.count)
        return (now(subject.group) - before) / sessions
    finally:
        for client in clients:
            client.quit()


def _retrieve(subject: Subject, mailbox: Mailbox, count: int) -> tuple[float, int]:
    with Pop3(subject.address) as client:
        client.log_in(mailbox.user())
        octets = 0
        begin = time.perf_counter()
        for number in range(1, count + 1):
            octets += client.octets(b"RETR %d\r\n" % number)
        seconds = time.perf_counter() - begin
        client.quit()
    return seconds, octets


def _expect(count: int, wanted: int) -> None:
    if count != wanted:
        raise AssertionError(f"{count} messages where {wanted} are")


def table(scale: Scale) -> tuple[Row, ...]:
    def mailbox(name: str, count: int, *octets: int) -> Mailbox:
        held = min(count, scale.most_messages)
        return Mailbox(name, held, (octets[0], octets[-1])) if octets else Mailbox(name, held)

    ten, thousand, small = mailbox("ten", 10), mailbox("thousand", 1_000), mailbox("small", 2_000)
    large, many = mailbox("large", scale.large_count, scale.large_octets), mailbox("many", 100_000, NOTE_OCTETS)
    polls, everybody = ("gateway", "peer", "tuned", "null"), ("gateway", "peer", "native", "null")
    two, three = ("gateway", "peer"), ("gateway", "peer", "null")
    rows = (
        Row("poll-10", "poll, 10 messages", "/s", 5, ten, 200, poll, limit.poll, subjects=polls),
        Row("poll-1000", "poll, 1,000 messages", "/s", 8, thousand, 60, poll, limit.poll, subjects=polls),
        Row(
            *("retr-small", "RETR 2,000 small messages", "/s", 3, small, 2_000, retrieve, limit.retrieve),
            subjects=everybody,
            native_goal=1.2,
        ),
        Row("retr-large", "RETR 20 of 25 MB", "MB/s", 2, large, 20, transfer, limit.transfer, subjects=three),
        Row(
            *("open-cold", "open 100,000, cold", "s", 20, many, 1, open_listed, limit.open_cold),
            cold=True,
            least=True,
        ),
        Row("open-warm", "the same, unchanged", "s", 2, many, 1, open_listed, limit.open_warm, least=True),
        Row("idle", "an idle session", "kB", 5, mailbox("hundred", 100), 200, idle, subjects=two, least=True),
        Row(
            "poll-tls", "poll, TLS both", "/s", 5, ten, 60, poll, limit.poll, Way.TLS, ("gateway", "peer", "tuned")
        ),
        Row("retr-small-tls", "RETR small, TLS both", "/s", 2, small, 2_000, retrieve, limit.retrieve, Way.TLS),
        Row("retr-large-tls", "RETR large, TLS both", "MB/s", 1.5, large, 20, transfer, limit.transfer, Way.TLS),
        Row(
            "poll-far",
            "poll, 40 ms away",
            "/s",
            4,
            ten,
            20,
            poll,
            limit.poll,
            Way.FAR,
            ("gateway", "peer", "tuned"),
        ),
        Row(
            *("retr-far", "RETR small, 40 ms away", "/s", 50, small, 2_000, retrieve, limit.retrieve, Way.FAR),
            peer_amount=100,
        ),
    )
    return tuple(replace(row, amount=_scaled(row, scale)) for row in rows)


def _scaled(row: Row, scale: Scale) -> int:
    """Where messages are read, all that there are; polls and sessions get fewer."""
    if row.work in (retrieve, transfer, open_listed):
        return min(row.amount, row.mailbox.count)
    return max(1, round(row.amount * scale.part))
