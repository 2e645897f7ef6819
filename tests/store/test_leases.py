"""Maildrop locks across machines: they outlive the database's restart, and not the machine that holds them."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import MaildropInUse, StateError
from gateway.ports import Locks, MaildropLock
from gateway.store import State, leases, open_state
from gateway.store.address import Address
from gateway.store.database import Database, Statements
from gateway.store.leases import Holder, LeasedLocks
from gateway.store.postgres import Pool, PostgresDatabase
from gateway.store.schema import SESSIONS
from tests.servers.postgres import Postgres

HOLDER = """
import sys, time
from pathlib import Path
from gateway.store import open_state
open_state(Path(sys.argv[1]), sys.argv[2]).locks().lock("ann").acquire()
print("held", flush=True)
time.sleep(600)
"""
PATIENCE_SECONDS = 10.0

Start = Callable[[str], State]


@pytest.fixture
def url(shared_postgres: Postgres) -> str:
    return shared_postgres.new_database()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Another machine each time."""
    with contextlib.ExitStack() as opened:
        yield lambda url: opened.enter_context(contextlib.closing(open_state(tmp_path, url)))


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL gives every holder a lease anew when it starts, and that may have been just now."""
    monkeypatch.setattr(leases, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.1)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_of_machines_that_begin_at_the_same_moment_one_gets_it(start: Start, url: str) -> None:
    """None of them has been heard of before."""
    for maildrop in ("ann", "bob", "carl"):
        locks = [start(url).locks().lock(maildrop) for _ in range(4)]
        begin = threading.Barrier(len(locks))
        got: list[MaildropLock] = []

        def take(lock: MaildropLock, begin: threading.Barrier = begin, got: list[MaildropLock] = got) -> None:
            begin.wait()
            with contextlib.suppress(MaildropInUse):
                lock.acquire()
                got.append(lock)

        threads = [threading.Thread(target=take, args=(lock,)) for lock in locks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1


def is_free(locks: Locks) -> bool:
    lock = locks.lock("ann")
    try:
        lock.acquire()
    except MaildropInUse:
        return False
    lock.release()
    return True


@pytest.mark.usefixtures("short_lease")
def test_a_machine_that_died_locks_nobody_out_for_longer_than_its_lease(
    start: Start, url: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "dead"), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    locks = start(url).locks()
    assert not is_free(locks)
    until(lambda: is_free(locks))


@pytest.mark.usefixtures("short_lease")
def test_a_session_may_last_longer_than_a_lease(start: Start, url: str) -> None:
    lock = start(url).locks().lock("ann")
    lock.acquire()
    time.sleep(2.5)
    assert not is_free(start(url).locks())
    assert not lock.is_wanted
    lock.release()


def test_a_gateway_that_ends_frees_what_it_held(start: Start, url: str) -> None:
    ends = start(url)
    ends.locks().lock("ann").acquire()
    ends.close()
    assert is_free(start(url).locks())


def test_who_has_lost_the_maildrop_learns_of_it(start: Start, url: str, shared_postgres: Postgres) -> None:
    lock, kept = (start(url).locks().lock(name) for name in ("ann", "bob"))
    lock.acquire()
    kept.acquire()
    shared_postgres.run(
        url,
        "UPDATE pop3_gateway.held SET token='theirs' WHERE token=(SELECT token FROM pop3_gateway.held LIMIT 1)",
    )
    until(lambda: lock.is_wanted or kept.is_wanted)
    lost, other = (lock, kept) if lock.is_wanted else (kept, lock)
    assert not other.is_wanted
    lost.release()
    assert shared_postgres.run(url, "SELECT count(*) FROM pop3_gateway.held WHERE token='theirs'") == [(1,)]


def test_a_restart_of_the_database_frees_nothing(start: Start, own_postgres: Postgres) -> None:
    url = own_postgres.new_database()
    lock = start(url).locks().lock("ann")
    others = start(url).locks()
    lock.acquire()
    own_postgres.down()
    with pytest.raises(StateError):
        others.lock("ann").acquire()
    own_postgres.up()
    until(lambda: _answers(others))
    assert not is_free(others)
    time.sleep(1)
    assert not lock.is_wanted
    lock.release()
    until(lambda: is_free(others))


def test_what_is_released_while_the_database_is_away_is_free_once_it_is_back(
    start: Start, own_postgres: Postgres
) -> None:
    url = own_postgres.new_database()
    locks, others = start(url).locks(), start(url).locks()
    lock = locks.lock("ann")
    lock.acquire()
    own_postgres.down()
    lock.release()
    own_postgres.up()
    until(lambda: _answers(others) and is_free(others))


def _answers(locks: Locks) -> bool:
    try:
        locks.lock("nobody's").acquire()
    except StateError:
        return False
    except MaildropInUse:
        pass
    return True


class _Torn:
    """A database whose connection breaks in the answer to COMMIT."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.torn = False
        self.reading = database.reading
        self.close = database.close

    @contextlib.contextmanager
    def writing(self) -> Iterator[Statements]:
        with self._database.writing() as statements:
            yield statements
        if self.torn:
            raise StateError("server closed the connection unexpectedly")


def test_a_lock_that_was_taken_after_all_is_given_back(start: Start, url: str) -> None:
    pool = Pool(Address.of(url))
    database = _Torn(PostgresDatabase(pool, SESSIONS))
    holder = Holder(database, lambda: None)
    others = start(url).locks()
    holder.attend()
    database.torn = True
    with pytest.raises(StateError):
        LeasedLocks(holder).lock("ann").acquire()
    database.torn = False
    assert not is_free(others)
    assert is_free(LeasedLocks(holder))
    holder.attend()
    assert is_free(others)
    pool.close()


@pytest.mark.usefixtures("short_lease")
def test_what_dead_machines_left_is_swept_away(start: Start, url: str, shared_postgres: Postgres) -> None:
    alive = start(url).locks().lock("bob")
    alive.acquire()
    shared_postgres.run(
        url,
        "INSERT INTO pop3_gateway.holder VALUES ('dead', now() - interval '2 days');"
        "INSERT INTO pop3_gateway.held VALUES ('m', 't', 'dead', 0)",
    )
    until(lambda: shared_postgres.run(url, "SELECT now() - pg_postmaster_start_time() > interval '1 s'")[0][0])
    start(url)
    until(lambda: not shared_postgres.run(url, "SELECT 1 FROM pop3_gateway.held WHERE token='t'"))
    assert not shared_postgres.run(url, "SELECT 1 FROM pop3_gateway.holder WHERE id='dead'")
    assert shared_postgres.run(url, "SELECT count(*) FROM pop3_gateway.held") == [(1,)]
    alive.release()
