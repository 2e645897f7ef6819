"""PgBouncer between: it lends a connection for one transaction only, and to whoever comes next."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import MaildropInUse
from gateway.maildrop import Intent, Mark
from gateway.store import open_state
from tests.servers.fixtures import requires
from tests.servers.machine import free_ports, is_taken, wait
from tests.servers.postgres import ADDRESS, PASSWORD, USER, Postgres

START_SECONDS = 10.0
CONFIGURATION = """
[databases]
* = host={address} port={server} user={user} password='{password}'
[pgbouncer]
listen_addr = {address}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


@pytest.fixture
def pooled(own_postgres: Postgres) -> Iterator[str]:
    """A database's URL, by way of the pooler."""
    program = requires("pgbouncer", "pgbouncer")
    [port] = free_ports(ADDRESS, 1)
    text = CONFIGURATION.format(address=ADDRESS, server=own_postgres.port, port=port, user=USER, password=PASSWORD)
    command = [program, own_postgres.write("pgbouncer.ini", text)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, **own_postgres.as_account()) as process:
        try:
            assert wait(lambda: is_taken(ADDRESS, port), START_SECONDS)
            yield own_postgres.new_database().replace(f":{own_postgres.port}/", f":{port}/")
        finally:
            process.kill()


def test_two_machines_share_a_state_through_it(pooled: str, tmp_path: Path) -> None:
    """All of it, with many threads on two connections."""
    with contextlib.ExitStack() as opened:
        one, other = (
            opened.enter_context(contextlib.closing(open_state(tmp_path / name, pooled))) for name in ("a", "b")
        )
        ledgers = one.ledger(), other.ledger()
        lock = one.locks().lock("ann")
        lock.acquire()
        one.login_delay(600).logged_in("ann")

        def promise(number: int) -> None:
            for uid in range(10 * number, 10 * number + 10):
                ledgers[number % 2].intend("ann", Intent(9, promised={uid: Mark(10, 1.0)}))
                ledgers[number % 2].recall("ann", 9)

        threads = [threading.Thread(target=promise, args=(number,)) for number in range(1, 13)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledgers[1].recall("ann", 9).promised.keys() == set(range(10, 130))
        with pytest.raises(MaildropInUse):
            other.locks().lock("ann").acquire()
        time.sleep(0.5)
        assert not lock.is_wanted
        lock.release()
        other.locks(patience=START_SECONDS).lock("ann").acquire()
