"""What a client does with a POP3 server, and how fast it was done."""

import time
from collections.abc import Callable

from tests.bench.client import Pop3
from tests.bench.mail import Mailbox
from tests.bench.memory import now
from tests.bench.subjects import Subject

# A rate is known well enough by then, however much is left: a server that waits 40 ms for each message takes long.
LONGEST_SECONDS = 6.0
# Clients come from many addresses, as the default limit by address wants it.
ADDRESSES = 200

# With this mailbox, so often at most; the rate, time or size in the unit that the docstring names.
Work = Callable[[Subject, Mailbox, int], float]


def poll(subject: Subject, mailbox: Mailbox, times: int) -> float:
    """Polls a second: connect, USER, PASS, STAT, QUIT."""
    done, begin = 0, time.perf_counter()
    while done < times and time.perf_counter() - begin < LONGEST_SECONDS:
        poll_once(subject, mailbox)
        done += 1
    return done / (time.perf_counter() - begin)


def poll_once(subject: Subject, mailbox: Mailbox, number: int = 0) -> None:
    client = Pop3(subject.address)
    client.log_in(mailbox.user(number))
    _expect(client.stat(), mailbox)
    client.quit()


def retrieve(subject: Subject, mailbox: Mailbox, count: int) -> float:
    """Messages a second, by RETR one after the other."""
    done, seconds, _ = _retrieve(subject, mailbox, count)
    return done / seconds


def transfer(subject: Subject, mailbox: Mailbox, count: int) -> float:
    """Megabytes a second, likewise."""
    _, seconds, octets = _retrieve(subject, mailbox, count)
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
    _expect(count, mailbox)
    return seconds


def idle(subject: Subject, mailbox: Mailbox, sessions: int) -> float:
    """kB that one more session takes, logged in and silent; each is another user's."""
    before = now(subject.group)
    clients: list[Pop3] = []
    try:
        clients.extend(idle_session(subject, mailbox, number) for number in range(sessions))
        return (now(subject.group) - before) / sessions
    finally:
        for client in clients:
            client.quit()


def idle_session(subject: Subject, mailbox: Mailbox, number: int) -> Pop3:
    client = Pop3(subject.address, source=f"127.0.1.{number % ADDRESSES + 1}")
    client.log_in(mailbox.user(number))
    _expect(client.stat(), mailbox)
    return client


def _retrieve(subject: Subject, mailbox: Mailbox, count: int) -> tuple[int, float, int]:
    """Messages, seconds and octets."""
    with Pop3(subject.address) as client:
        client.log_in(mailbox.user())
        done = octets = 0
        begin = time.perf_counter()
        while done < count and time.perf_counter() - begin < LONGEST_SECONDS:
            done += 1
            octets += client.octets(b"RETR %d\r\n" % done)
        seconds = time.perf_counter() - begin
        client.quit()
    return done, seconds, octets


def _expect(count: int, mailbox: Mailbox) -> None:
    if count != mailbox.count:
        raise AssertionError(f"{count} messages where {mailbox.count} are")
