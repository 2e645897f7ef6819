"""Customers in a database: SQLite, and a real PostgreSQL."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import BadCredentials, LookupFailed, SettingsError
from tests.routes.conftest import MakeGuide
from tests.servers.postgres import PASSWORD, Postgres

TABLE = """CREATE TABLE customer
    (name TEXT, host TEXT, port INTEGER, scheme TEXT, login TEXT, folder TEXT, url TEXT)
"""
ROWS = """INSERT INTO customer VALUES
    ('ann', 'a.example.com', NULL, NULL, NULL, NULL, NULL),
    ('bob', 'b.example.com', 1143, NULL, 'bob@old', 'In/Ä', NULL),
    ('cid', 'c.example.com', 1993, 'imaps', NULL, NULL, NULL),
    ('dan', NULL, NULL, NULL, NULL, NULL, 'imaps://d.example.com:2993'),
    ('eve', NULL, NULL, NULL, 'eve@old', NULL, NULL),
    ('o''brien', 'o.example.com', 993, NULL, NULL, NULL, NULL),
    ('two', 'a.example.com', NULL, NULL, NULL, NULL, NULL),
    ('two', 'b.example.com', NULL, NULL, NULL, NULL, NULL),
    ('odd', 'imaps://x.example.com/', NULL, NULL, NULL, NULL, NULL),
    ('bad', 'x.example.com', 99999, NULL, NULL, NULL, NULL),
    ('clear', NULL, NULL, NULL, NULL, NULL, 'imap://x.example.com?tls=none')
"""
QUERY = (
    "SELECT host, port, scheme, login AS user, folder, url AS upstream FROM customer"
    " WHERE name = {name} AND name NOT LIKE '%never'"
)

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(
    request: pytest.FixtureRequest, shared_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if request.param == "postgresql":
        made = shared_postgres.new_database()
        shared_postgres.run(made, TABLE)
        shared_postgres.run(made, ROWS)
        yield made
        return
    file = tmp_path_factory.mktemp("customers") / "customers?.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(TABLE)
        database.execute(ROWS)
    yield f"sqlite:{file}"


@pytest.mark.parametrize(
    ("name", "led"),
    [
        ("ann", "ann at a.example.com:993"),
        ("bob", "bob@old at b.example.com:1143"),
        ("cid", "cid at c.example.com:1993"),
        ("dan", "dan at d.example.com:2993"),
        ("eve", "eve@old at usual:993"),
        ("o'brien", "o'brien at o.example.com:993"),
        ("nobody", "nobody at usual:993"),
        ("ann' OR '1'='1", "ann' OR '1'='1 at usual:993"),
        ("ann\\", "ann\\ at usual:993"),
        ("%", "% at usual:993"),
        ("{name}?", "{name}? at usual:993"),
        ("名" * 333, "名" * 333 + " at usual:993"),
    ],
)
async def test_a_row_says_where_a_name_goes(guide: MakeGuide, url: str, name: str, led: str) -> None:
    assert await guide({"sql": url, "query": QUERY}).leads(name) == led


async def test_it_may_say_the_folder(guide: MakeGuide, url: str) -> None:
    assert (await guide({"sql": url, "query": QUERY}).find("bob")).folder == "In/Ä"


async def test_other_templates_go_before_what_a_row_has(guide: MakeGuide, url: str) -> None:
    route = {"upstream": "imaps://{host}:{port}", "user": "{name}@new", "sql": url, "query": QUERY}
    assert await guide(route).leads("bob") == "bob@new at b.example.com:1143"


@pytest.mark.parametrize("upstream", ["imaps://{host}:{port}", "imaps://{host}"])
async def test_what_a_template_wants_and_a_row_has_not_is_no_fault_of_the_client(
    guide: MakeGuide, url: str, upstream: str
) -> None:
    with pytest.raises(LookupFailed, match="there is no host in the answer"):
        await guide({"upstream": upstream, "sql": url, "query": QUERY}).find("eve")


async def test_the_query_may_ask_for_a_part_of_the_name(guide: MakeGuide, url: str) -> None:
    query = "SELECT host FROM customer WHERE name = {user} AND {domain} = 'example.org' AND name = {user}"
    routes = guide({"match": "{user}@{domain}", "sql": url, "query": query})
    assert await routes.leads("ann@example.org") == "ann@example.org at a.example.com:993"
    assert await routes.leads("ann@example.net") == "ann@example.net at usual:993"


async def test_hosts_that_are_not_listed_are_refused_here_too(guide: MakeGuide, url: str) -> None:
    with pytest.raises(BadCredentials, match=r"a\.example\.com is not one of"):
        await guide({"sql": url, "query": QUERY, "hosts": "*.example.org"}).find("ann")


@pytest.mark.parametrize(
    ("name", "query", "said"),
    [
        ("two", QUERY, r"routes\[1\]\.query: more than one row for this name; LIMIT 1"),
        ("odd", QUERY, "is no host in the answer"),
        ("bad", QUERY, "'99999' is no port in the answer"),
        ("ann", "SELECT host AS server FROM customer WHERE name = {name}", "server is none of folder, host,"),
        ("ann", "SELECT 1.5 AS port WHERE {name} = 'ann'", "port is neither text nor a whole number"),
        ("ann", "SELECT host FROM customers WHERE name = {name}", r"routes\[1\]\.sql: database .*customers"),
        ("ann", "DELETE FROM customer WHERE name = {name}", r"routes\[1\]\.sql: database .*read.?only"),
    ],
)
async def test_what_cannot_be_used_ends_the_login(
    guide: MakeGuide, url: str, name: str, query: str, said: str
) -> None:
    if "1.5" in query and url.startswith("postgresql"):
        query = query.replace("1.5", "1.5::float8")
    with pytest.raises(LookupFailed, match=said) as failed:
        await guide({"sql": url, "query": query}).find(name)
    assert PASSWORD not in str(failed.value)


async def test_an_upstream_in_a_row_has_to_be_one_that_the_settings_could_have(guide: MakeGuide, url: str) -> None:
    with pytest.raises(Exception, match=r"routes\[1\]: upstream .*passwords would go to x\.example\.com in clear"):
        await guide({"sql": url, "query": QUERY}).find("clear")


async def test_a_query_without_end_is_ended(
    guide: MakeGuide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.customers.QUERY_SECONDS", 0.1)
    sqlite3.connect(tmp_path / "c").close()
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    endless = f"{counting} SELECT max(i) AS port FROM n WHERE {{name}}"
    with pytest.raises(LookupFailed, match="interrupted"):
        await guide({"sql": f"sqlite:{tmp_path}/c", "query": endless}).find("1")


async def test_a_file_that_is_not_there_ends_the_login_and_is_not_made(guide: MakeGuide, tmp_path: Path) -> None:
    with pytest.raises(LookupFailed, match="unable to open"):
        await guide({"sql": f"sqlite:{tmp_path}/none", "query": QUERY}).find("ann")
    assert os.listdir(tmp_path) == []


async def test_a_database_that_goes_away_ends_logins_until_it_is_back(
    guide: MakeGuide, own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.postgres.AWAY_SECONDS", 0.0)
    monkeypatch.setattr("gateway.store.postgres.SILENCE_SECONDS", 0.5)
    url = own_postgres.new_database()
    own_postgres.run(url, TABLE)
    own_postgres.run(url, ROWS)
    routes = guide({"sql": url, "query": QUERY})
    assert await routes.leads("ann") == "ann at a.example.com:993"
    with own_postgres.hanging(), pytest.raises(LookupFailed, match="no answer for"):
        await routes.find("ann")
    own_postgres.down()
    with pytest.raises(LookupFailed) as failed:
        await routes.find("ann")
    assert "routes[1].sql: database postgresql://" in str(failed.value)
    assert PASSWORD not in str(failed.value)
    own_postgres.up()
    assert await routes.leads("ann") == "ann at a.example.com:993"


def test_a_url_that_cannot_be_read_is_told_at_the_start(guide: MakeGuide) -> None:
    with pytest.raises(SettingsError, match=r"routes\[1\]\.sql: this URL cannot be read") as refused:
        guide({"sql": "postgresql://u:hunter2@x@h:port/d", "query": QUERY})
    assert "hunter2" not in str(refused.value)
