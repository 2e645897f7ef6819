"""PostgreSQL as the state: it may be away, hang, refuse or be newer, and no error tells its password."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import GatewayError, SettingsError, StateError
from gateway.maildrop import Intent, Mark, Memory
from gateway.ports import Ledger
from gateway.store import demand_readable, open_state, postgres
from gateway.store.address import Address
from gateway.store.postgres import CONNECTIONS, Pool, PostgresDatabase
from gateway.store.schema import LEDGER, Schema
from tests.servers.machine import free_ports
from tests.servers.postgres import ADDRESS, PASSWORD, USER, Postgres

# For what has an end of its own, on a busy machine.
PATIENCE_SECONDS = 10.0
PROMISE = Intent(9, promised={1: Mark(10, 1.5)})


@pytest.fixture
def url(shared_postgres: Postgres) -> str:
    return shared_postgres.new_database()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def answers(ledger: Ledger) -> bool:
    with contextlib.suppress(StateError):
        ledger.recall("ann", 9)
        return True
    return False


def refusal(folder: Path, url: str) -> str:
    """What is said when it cannot be opened."""
    with pytest.raises(GatewayError) as told:
        open_state(folder, url)
    assert PASSWORD not in str(told.value)
    return str(told.value)


# Where it is


@pytest.mark.parametrize(
    ("url", "shown", "sslmode"),
    [
        ("postgresql://u:hidden@db.example.com/mail", "postgresql://u@db.example.com/mail", "verify-full"),
        ("postgres://u:hid%40den@192.0.2.1:5433/mail", "postgresql://u@192.0.2.1:5433/mail", "verify-full"),
        ("postgresql://one:1,two:2/mail", "postgresql://one:1,two:2/mail", "verify-full"),
        ("postgresql://localhost,two/mail", "postgresql://localhost,two/mail", "verify-full"),
        ("postgresql://u@db/mail?sslmode=disable", "postgresql://u@db/mail", "disable"),
        ("postgresql://db/mail?user=u&password=hidden", "postgresql://u@db/mail", "verify-full"),
        ("postgresql://u:hidden@localhost/mail", "postgresql://u@localhost/mail", None),
        ("postgresql://u:hidden@[::1]/mail", "postgresql://u@::1/mail", None),
        ("postgresql:///mail?host=/run/postgresql", "postgresql:///run/postgresql/mail", None),
        ("postgresql://", "postgresql:///", None),
    ],
)
def test_a_url_is_shown_without_its_password_and_off_this_machine_it_wants_a_certificate(
    url: str, shown: str, sslmode: str | None
) -> None:
    address = Address.of(url)
    assert address.shown == shown
    assert address.parameters.get("sslmode") == sslmode
    assert "hid" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hid den@h/db",
        "postgresql://u:hid@den@h/db",
        "postgresql://u:hid@den:word@h/db",
        "postgresql://u:hidden@[h/db",
        "postgresql://u:hidden@h:port/db",
        "postgresql://u:hidden@h/db?no_such=option",
        "postgresql://u:%zzhidden@h/db",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="write it like postgresql://user:password@host/database") as told:
        demand_readable(url)
    assert "hid" not in str(told.value)
    assert "den" not in str(told.value)


def test_without_psycopg_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gateway.store.address", "gateway.store.postgres"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"pip install '\.\[postgresql\]'"):
        demand_readable("postgresql:///db")


# Its tables


def test_many_that_start_at_once_make_the_tables_once(url: str, tmp_path: Path, shared_postgres: Postgres) -> None:
    begin, failed = threading.Barrier(6), []

    def start() -> None:
        begin.wait()
        try:
            open_state(tmp_path, url).close()
        except StateError as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    versions = shared_postgres.run(url, "SELECT tables, number FROM pop3_gateway.version ORDER BY tables")
    assert versions == [("maildrops", LEDGER.version), ("sessions", 1)]


def test_tables_of_an_earlier_gateway_are_brought_up_to_date(url: str, shared_postgres: Postgres) -> None:
    first = Schema(LEDGER.name, LEDGER.migrations[:1], LEDGER.lost)
    pool = Pool(Address.of(url))
    PostgresDatabase(pool, first)
    shared_postgres.run(url, "INSERT INTO pop3_gateway.promised VALUES ('ann', 9, 1)")
    with PostgresDatabase(pool, LEDGER).reading() as database:
        assert database.execute("SELECT uid, octets, since FROM promised").fetchall() == [(1, None, 0.0)]
    pool.close()


def test_tables_of_a_newer_gateway_are_left_alone(url: str, tmp_path: Path, shared_postgres: Postgres) -> None:
    open_state(tmp_path, url).close()
    shared_postgres.run(url, "UPDATE pop3_gateway.version SET number=99 WHERE tables='maildrops'")
    assert "newer pop3-gateway (its tables have version 99" in refusal(tmp_path, url)


def test_a_user_who_may_make_no_tables_is_told_so(url: str, tmp_path: Path, shared_postgres: Postgres) -> None:
    shared_postgres.run(url, f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    said = refusal(tmp_path, url.replace(f"//{USER}:", "//reader:"))
    assert "permission denied for database" in said
    assert "must be allowed to make a schema and tables" in said


def test_a_schema_that_its_administrator_has_made_is_enough(
    url: str, tmp_path: Path, shared_postgres: Postgres
) -> None:
    shared_postgres.run(
        url, f"CREATE ROLE owner LOGIN PASSWORD '{PASSWORD}'; CREATE SCHEMA pop3_gateway AUTHORIZATION owner"
    )
    open_state(tmp_path, url.replace(f"//{USER}:", "//owner:")).close()


def test_whoever_may_use_the_tables_need_not_own_them(url: str, tmp_path: Path, shared_postgres: Postgres) -> None:
    open_state(tmp_path, url).close()
    shared_postgres.run(url, f"CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}'")
    said = refusal(tmp_path, url.replace(f"//{USER}:", "//stranger:"))
    assert "permission denied for schema pop3_gateway (its user must be allowed" in said
    shared_postgres.run(
        url,
        f"CREATE ROLE worker LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA pop3_gateway TO worker;"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pop3_gateway TO worker",
    )
    state = open_state(tmp_path, url.replace(f"//{USER}:", "//worker:"))
    state.ledger().intend("ann", PROMISE)
    lock = state.locks().lock("ann")
    lock.acquire()
    lock.release()
    state.close()


# When it does not answer


def test_a_database_that_lets_us_not_in_is_told_without_the_password(url: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, url.replace(f"//{USER}:", "//nobody:"))
    assert "password authentication failed" in said
    assert f"postgresql://nobody@{ADDRESS}" in said


def test_a_server_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    [port] = free_ports(ADDRESS, 1)
    said = refusal(tmp_path, f"postgresql://u:x@{ADDRESS}:{port}/db")
    assert said.startswith(f"state database postgresql://u@{ADDRESS}:{port}/db: ")
    assert said.endswith("(logins wait for it; see to the server, or to `state`)")


def test_what_was_promised_is_there_after_a_crash_of_the_server(own_postgres: Postgres, tmp_path: Path) -> None:
    state = open_state(tmp_path, own_postgres.new_database())
    ledger = state.ledger()
    ledger.intend("ann", PROMISE)
    own_postgres.down()
    for _ in range(3):
        with pytest.raises(StateError, match="logins wait for it"):
            ledger.recall("ann", 9)
    own_postgres.up()
    until(lambda: answers(ledger))
    assert ledger.recall("ann", 9) == Memory(promised=PROMISE.promised)
    state.close()


def test_connections_that_were_idle_while_it_restarted_are_not_used(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    state = open_state(tmp_path, own_postgres.new_database())
    ledger = state.ledger()
    own_postgres.down()
    own_postgres.up()
    ledger.intend("ann", PROMISE)
    state.close()


def test_who_waits_for_a_server_that_hangs_is_told_in_time_and_others_at_once(
    own_postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SILENCE_SECONDS", 0.5)
    state = open_state(tmp_path, own_postgres.new_database())
    ledger = state.ledger()
    ledger.intend("ann", PROMISE)
    with own_postgres.hanging(), pytest.raises(StateError, match="no answer for"):
        ledger.recall("ann", 9)
    until(lambda: answers(ledger))
    state.close()


def test_a_row_that_somebody_else_keeps_locked_is_not_waited_for_without_end(url: str, tmp_path: Path) -> None:
    pool = Pool(Address.of(url))
    database = PostgresDatabase(pool, LEDGER)
    state = open_state(tmp_path, url)
    ledger = state.ledger()
    ledger.intend("ann", PROMISE)
    with database.writing() as other:
        other.execute("DELETE FROM promised")
        with pytest.raises(StateError, match=r"lock timeout \(others are writing the same\)"):
            ledger.fulfil("ann", 9, [1])
    assert ledger.recall("ann", 9) == Memory()
    state.close()
    pool.close()


def test_who_finds_all_connections_busy_does_not_wait_without_end(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "WAIT_SECONDS", 0.1)
    pool = Pool(Address.of(url))
    database = PostgresDatabase(pool, LEDGER)
    with contextlib.ExitStack() as readers:
        for _ in range(CONNECTIONS):
            readers.enter_context(database.reading())
        with pytest.raises(StateError, match=f"all {CONNECTIONS} connections were busy"), database.reading():
            pass
    with database.reading() as free:
        assert free.execute("SELECT 1").fetchall() == [(1,)]
    pool.close()


def test_a_thousand_users_take_few_connections(url: str, shared_postgres: Postgres) -> None:
    pool = Pool(Address.of(url))
    database = PostgresDatabase(pool, LEDGER)

    def look() -> None:
        for _ in range(50):
            with database.reading() as one:
                one.execute("SELECT 1")

    threads = [threading.Thread(target=look) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    name = url.rpartition("/")[2]
    [(there,)] = shared_postgres.run("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE datname='{name}'")
    assert 1 <= there <= CONNECTIONS
    pool.close()


@pytest.mark.parametrize(
    "text", ["", "\0", "\1", "\1z\1o", "a\0\1\0b", "%s ? %% '", "\x7f\n\r\t\\", "ä\U0001f4ec\uffff"]
)
def test_text_comes_back_as_it_went(url: str, text: str) -> None:
    pool = Pool(Address.of(url))
    with PostgresDatabase(pool, LEDGER).writing() as database:
        database.execute("INSERT INTO promised (maildrop, uidvalidity, uid) VALUES (?, 9, 1)", (text,))
        database.execute("INSERT INTO promised (maildrop, uidvalidity, uid) VALUES (?, 9, 1)", (text + "+",))
        found = database.execute("SELECT maildrop FROM promised ORDER BY length(maildrop)").fetchall()
    assert found == [(text,), (text + "+",)]
    pool.close()
