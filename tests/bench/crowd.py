"""Thousands of idle sessions on one worker: what each takes, and whether a newcomer is still served at once."""

import contextlib
import resource
import statistics
import time

from tests.bench.client import Pop3
from tests.bench.mail import Mailbox
from tests.bench.memory import now
from tests.bench.results import Crowd
from tests.bench.run import Bench, Tell
from tests.bench.subjects import Gateway
from tests.bench.work import idle_session, poll_once

SESSIONS = 5_000
LOGINS = 100
MAILBOX = Mailbox("ten", 10)
# An IMAP process a session would be 5,000 of them, and what is measured is the gateway.
CLIENTS_A_PROCESS = 100
# Not the defaults, which refuse the 2,001st.
SETTINGS = {"limits": {"connections": 2 * SESSIONS}}


def measure(bench: Bench, tell: Tell, sessions: int = SESSIONS) -> Crowd:
    """With an upstream of its own, whose processes serve many."""
    _raise_limit()
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(bench.beside("maildir", CLIENTS_A_PROCESS))
        scene = stack.enter_context(own.scene(MAILBOX, settings=SETTINGS))
        gateway = Gateway(scene)
        stack.callback(gateway.stop)
        poll_once(gateway, MAILBOX)
        alone = _logins(gateway, sessions)
        before, begin = now(gateway.group), time.perf_counter()
        clients: list[Pop3] = []
        for number in range(sessions):
            if number % 100 == 0:
                tell(f"{number:,} of {sessions:,} idle sessions")
            clients.append(idle_session(gateway, MAILBOX, number))
            stack.callback(clients[-1].close)
        seconds = time.perf_counter() - begin
        grown = now(gateway.group) - before
        among = _logins(gateway, sessions)
    return Crowd(
        sessions, grown / sessions, statistics.median(alone), statistics.median(among), max(among), seconds
    )


def _logins(gateway: Gateway, number: int) -> list[float]:
    """Seconds of each, by a user who is not among the idle ones."""
    taken = []
    for _ in range(LOGINS):
        begin = time.perf_counter()
        poll_once(gateway, MAILBOX, number)
        taken.append(time.perf_counter() - begin)
    return taken


def _raise_limit() -> None:
    """Of open files, for all that is started from here on: two a session in the gateway."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
