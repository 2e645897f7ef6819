"""Two gateways, as on two machines: each has a folder of its own, and both have one PostgreSQL."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.accounts.app_passwords import forms
from gateway.ports import AppPassword, StoredAccount
from gateway.sasl import Secret
from gateway.store import Keys, open_state
from tests.fakes.faults import Say
from tests.fakes.imap import FakeImap
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.server.sessions import MAIL, delete_first, shown
from tests.servers.fixtures import Mailbox
from tests.servers.postgres import PASSWORD, Postgres

StartPair = Callable[..., list[GatewayProcess]]
PATIENCE_SECONDS = 10.0


@pytest.fixture
def url(shared_postgres: Postgres) -> str:
    return shared_postgres.new_database()


@pytest.fixture
def start_pair(start_gateway: StartGateway, fake: FakeImap, url: str, tmp_path: Path) -> StartPair:
    """Settings besides the state."""

    def start(**more: Any) -> list[GatewayProcess]:
        return [start_gateway(fake, state=url, state_folder=str(tmp_path / name), **more) for name in ("a", "b")]

    return start


def log_in_again(gateway: GatewayProcess, drop: Mailbox) -> bytes:
    """Once the database has what the other gateway wrote behind its client's back."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        with RawClient(gateway.port) as client:
            reply = client.log_in(drop)
            client.ask("QUIT")
        if reply.startswith(b"-ERR") or time.monotonic() > end:
            return reply


def test_a_maildrop_is_open_at_one_of_them(start_pair: StartPair, drop: Mailbox) -> None:
    one, other = start_pair()
    with RawClient(one.port) as first, RawClient(other.port) as second, RawClient(other.port) as third:
        assert first.log_in(drop).startswith(b"+OK")
        assert second.log_in(drop).startswith(b"-ERR [IN-USE]")
        assert first.ask("QUIT").startswith(b"+OK")
        assert third.log_in(drop).startswith(b"+OK")


def test_a_session_at_one_is_taken_over_from_the_other(start_pair: StartPair, drop: Mailbox) -> None:
    one, other = start_pair(maildrop={"lock": "takeover"})
    with RawClient(one.port) as first, RawClient(other.port) as second:
        first.log_in(drop)
        first.ask("DELE 1")
        assert second.log_in(drop) == b"+OK maildrop has 3 messages (50 octets)"
        assert first.line() == b""
        assert second.ask("NOOP") == b"+OK"


def test_a_session_that_has_lost_its_maildrop_is_ended(
    start_pair: StartPair, drop: Mailbox, url: str, shared_postgres: Postgres
) -> None:
    """As one whose machine could not reach the database for longer than its lease."""
    one, _ = start_pair()
    with RawClient(one.port) as client:
        client.log_in(drop)
        client.ask("DELE 1")
        shared_postgres.run(url, "UPDATE pop3_gateway.held SET token='theirs'")
        assert client.line() == b""
    assert len(drop.messages()) == 3


def test_what_one_promised_the_other_keeps(start_pair: StartPair, fake: FakeImap, drop: Mailbox) -> None:
    one, other = start_pair()
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(one, drop) == b"+OK 1 message deleted"
    assert len(drop.messages()) == 3
    fake.forgive(rule)
    assert shown(other, drop) == MAIL[1:]
    other.wait_for("deferred deletions carried out")
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]


def test_a_login_at_one_delays_the_next_at_the_other(start_pair: StartPair, drop: Mailbox) -> None:
    one, other = start_pair(limits={"login_delay": 600})
    with RawClient(one.port) as client:
        assert client.log_in(drop).startswith(b"+OK")
        client.ask("QUIT")
    assert log_in_again(other, drop).startswith(b"-ERR [LOGIN-DELAY]")


def test_an_account_that_is_added_once_opens_at_both(
    start_pair: StartPair, drop: Mailbox, url: str, tmp_path: Path
) -> None:
    keys = tmp_path / "both.keys"
    pair = start_pair(accounts={"key_file": str(keys), "pass_through": False})
    key, hashed = forms("printer", Secret("abcd-efgh"), b"s" * 16, readable=False)
    password = AppPassword("printer", "", key, hashed, 1.0)
    state = open_state(tmp_path / "c", url)
    state.vault(lambda may_be_new: Keys.of(None, keys, may_be_new=may_be_new)).add(
        StoredAccount("scans", "", drop.user, Secret(drop.password), b"s" * 16, 1.0, passwords=(password,))
    )
    state.close()
    for gateway in pair:
        with RawClient(gateway.port) as client:
            assert client.log_in(Mailbox(drop.server, "scans", "abcd-efgh")).startswith(b"+OK")
            assert client.ask("QUIT") == b"+OK bye"


def test_workers_share_it_too(start_gateway: StartGateway, drop: Mailbox, url: str, tmp_path: Path) -> None:
    gateway = start_gateway(drop.server, state=url, state_folder=str(tmp_path), workers=2)
    with RawClient(gateway.port) as first:
        first.log_in(drop)
        for _ in range(3):
            with RawClient(gateway.port) as second:
                assert second.log_in(drop).startswith(b"-ERR [IN-USE]")
    assert gateway.stop() == 0
    assert "Traceback" not in gateway.raw_log


def test_a_gateway_that_is_told_to_stop_leaves_nothing_behind(
    start_pair: StartPair, drop: Mailbox, url: str, shared_postgres: Postgres
) -> None:
    one, other = start_pair(timeouts={"shutdown": 1})
    with RawClient(one.port) as client:
        client.log_in(drop)
        assert one.stop() == 0
    assert shared_postgres.run(url, "SELECT count(*) FROM pop3_gateway.held") == [(0,)]
    with RawClient(other.port) as client:
        assert client.log_in(drop).startswith(b"+OK")
    assert shared_postgres.run(url, "SELECT count(*) FROM pop3_gateway.holder") == [(1,)]


def test_the_password_of_the_url_is_in_no_output(
    start_pair: StartPair, own_postgres: Postgres, drop: Mailbox, start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = start_gateway(drop.server, state=own_postgres.new_database(), state_folder=str(tmp_path))
    own_postgres.down()
    with RawClient(gateway.port) as client:
        assert client.log_in(drop).startswith(b"-ERR [SYS/TEMP] service unavailable")
    gateway.wait_for("login failed here, not at the mail server", level="error")
    said = [gateway.raw_log]
    for command in ("check", "config", "serve"):
        done = subprocess.run(
            [sys.executable, "-m", "gateway", command, *(("-c", gateway.config) if command != "config" else ())],
            capture_output=True,
            text=True,
        )
        said += [done.stdout, done.stderr]
    assert f"postgresql://gateway@127.0.0.1:{own_postgres.port}/" in said[-1]
    secret = own_postgres.url("").rpartition("@")[0].rpartition(":")[2]
    assert not [text for text in said if PASSWORD in text or secret in text]
