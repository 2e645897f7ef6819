"""Several processes on one port: who serves, and what they share."""

import contextlib
import json
import ssl
import subprocess
import sys
from pathlib import Path
from select import PIPE_BUF

import pytest

from tests.fakes.faults import Say
from tests.fakes.imap import FakeImap
from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.workers.conftest import MAIL, WORKERS, Connect, pids

# Who serves


def test_connections_are_spread_over_the_workers(start_gateway: StartGateway, fake: FakeImap) -> None:
    gateway = start_gateway(fake, workers=WORKERS)
    with contextlib.ExitStack() as clients:
        for _ in range(20 * WORKERS):
            clients.enter_context(RawClient(gateway.port))
        served = [gateway.wait_for("connection opened")["worker"] for _ in range(20 * WORKERS)]
    assert set(served) == {1, 2, 3}
    assert gateway.stop() == 0


def test_one_worker_is_the_process_itself(start_gateway: StartGateway, fake: FakeImap, drop: Mailbox) -> None:
    gateway = start_gateway(fake)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert pids(gateway) == []
    assert gateway.stop() == 0
    assert not [event for event in gateway.events if "worker" in event]


def test_the_supervisor_has_one_thread_or_a_fork_would_not_be_safe(
    start_gateway: StartGateway, fake: FakeImap
) -> None:
    gateway = start_gateway(fake, workers=WORKERS)
    assert len(list(Path(f"/proc/{gateway.pid}/task").iterdir())) == 1


def test_what_is_made_at_the_first_start_is_made_and_told_once(
    start_gateway: StartGateway, fake: FakeImap
) -> None:
    gateway = start_gateway(fake, workers=WORKERS, tls={})
    for _ in range(WORKERS - 1):
        gateway.wait_for("worker started")
    told = [event["event"] for event in gateway.events]
    for once in ("no certificate configured: made a self-signed one", "gateway started"):
        assert told.count(once) == 1
    assert told.count("listening") == 2
    certificates = {ssl.get_server_certificate(("127.0.0.1", gateway.tls_port)) for _ in range(20)}
    assert len(certificates) == 1


def test_it_answers_a_health_check(start_gateway: StartGateway, fake: FakeImap) -> None:
    gateway = start_gateway(fake, workers=WORKERS)
    urls = [f"--listen=pop3://127.0.0.1:{gateway.port}", f"--listen=pop3s://127.0.0.1:{gateway.tls_port}"]
    command = [sys.executable, "-m", "gateway", "health", *urls]
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0


# What they share


def test_a_maildrop_is_in_use_whichever_worker_has_it(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, connect: Connect
) -> None:
    gateway = start_gateway(fake, workers=WORKERS)
    first, second = connect(gateway, 1), connect(gateway, 2)
    assert first.log_in(drop).startswith(b"+OK")
    assert second.log_in(drop).startswith(b"-ERR [IN-USE]")
    first.ask("QUIT")
    assert second.log_in(drop).startswith(b"+OK")


def test_a_session_is_taken_over_from_another_worker(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, connect: Connect
) -> None:
    gateway = start_gateway(fake, workers=WORKERS, maildrop={"lock": "takeover"})
    first, second = connect(gateway, 1), connect(gateway, 2)
    first.log_in(drop)
    first.ask("DELE 1")
    assert second.log_in(drop).startswith(b"+OK")
    assert first.line() == b""
    assert gateway.wait_for("session ended", worker=1)["how"] == "another session took over the maildrop"
    assert second.message("RETR 1") == MAIL[0]


def test_what_one_worker_promised_another_one_keeps(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, connect: Connect
) -> None:
    gateway = start_gateway(fake, workers=WORKERS)
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    first = connect(gateway, 1)
    first.log_in(drop)
    first.ask("DELE 1")
    assert first.ask("QUIT").startswith(b"+OK")
    second = connect(gateway, 2)
    assert second.log_in(drop).startswith(b"+OK maildrop has 2 messages")
    second.ask("QUIT")
    fake.forgive(rule)
    third = connect(gateway, 3)
    assert third.log_in(drop).startswith(b"+OK maildrop has 2 messages")
    assert third.ask("QUIT") == b"+OK bye"
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]
    assert gateway.wait_for("deferred deletions carried out")["worker"] == 3


def test_the_delay_between_two_logins_counts_in_all_workers(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, connect: Connect
) -> None:
    gateway = start_gateway(fake, workers=WORKERS, limits={"login_delay": "1h"})
    first = connect(gateway, 1)
    first.log_in(drop)
    first.ask("QUIT")
    assert connect(gateway, 2).log_in(drop).startswith(b"-ERR [LOGIN-DELAY]")


@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
def test_a_limit_is_for_all_workers_together(
    start_gateway: StartGateway, fake: FakeImap, connect: Connect, limit: str
) -> None:
    gateway = start_gateway(fake, workers=WORKERS, limits={limit: 4})
    clients = [connect(gateway, worker) for worker in (1, 1, 2, 3)]
    for client in clients:
        client.log_in(new_mailbox(fake))
    for _ in range(5):
        with RawClient(gateway.port) as refused:
            assert refused.greeting.startswith(b"-ERR [SYS/TEMP]")
    clients[1].ask("QUIT")
    gateway.wait_for("session ended")
    with RawClient(gateway.port) as admitted:
        assert admitted.greeting.startswith(b"+OK")


def test_hundreds_of_idle_strangers_keep_no_good_login_out(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = start_gateway(fake, workers=WORKERS, limits={"connections_per_address": 50})
    with contextlib.ExitStack() as strangers:
        for _ in range(300):
            strangers.enter_context(RawClient(gateway.port))
        for _ in range(5):
            with RawClient(gateway.port) as client:
                assert client.log_in(drop).startswith(b"+OK")
                client.ask("QUIT")


def test_their_log_lines_are_whole(start_gateway: StartGateway, fake: FakeImap) -> None:
    gateway = start_gateway(fake, workers=WORKERS)
    name = '"\\é' * 3000
    with contextlib.ExitStack() as clients:
        strangers = [clients.enter_context(RawClient(gateway.port)) for _ in range(30)]
        for _ in range(2):
            for stranger in strangers:
                stranger.send(f"USER {name}\r\nPASS \r\n".encode())
            for stranger in strangers:
                stranger.line()
                stranger.line()
    gateway.stop()
    lines = [line for line in gateway.raw_log.splitlines() if not line.startswith("Executing <")]
    assert {json.loads(line)["event"] for line in lines} >= {"login failed", "worker started"}
    assert max(len(line.encode()) for line in lines) < PIPE_BUF
