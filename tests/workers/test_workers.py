"""Several processes on one port: who serves, what they share, and what becomes of each when another one ends."""

import contextlib
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from select import PIPE_BUF

import pytest

from gateway.workers.supervisor import FIRST_PAUSE_SECONDS
from tests.fakes.faults import Say
from tests.fakes.imap import FakeImap
from tests.gateway_process import StartGateway, settings_for
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.messages import large
from tests.servers.tls import Certificates
from tests.workers.conftest import WORKERS, Connect, is_running, pids

MAIL = [f"Subject: {word}\r\n\r\n".encode() for word in ("one", "two", "three")]
# More than the system takes from the gateway while the client does not read.
LARGE = large(20_000_000)
WAIT_SECONDS = 20.0

FAILING_FORK = """
import errno, itertools, os
from gateway.cli import main
fork, calls = os.fork, itertools.count(1)
def failing():
    if next(calls) in (2, 3):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()
os.fork = failing
main()
"""


@pytest.fixture
def fake(certificates: Certificates) -> Iterator[FakeImap]:
    with FakeImap(certificates) as running:
        yield running


@pytest.fixture
def drop(fake: FakeImap) -> Mailbox:
    made = new_mailbox(fake)
    made.deliver(MAIL)
    return made


def begin_transfer(client: RawClient, fake: FakeImap) -> None:
    """Log in, and ask for a message that is not read yet."""
    drop = new_mailbox(fake)
    drop.deliver([LARGE])
    client.log_in(drop)
    client.send(b"RETR 1\r\n")
    assert client.line().startswith(b"+OK")


def finish_transfer(client: RawClient) -> None:
    """All of it comes, and QUIT is obeyed."""
    assert sum(map(len, client.body())) == len(LARGE)
    assert client.ask("QUIT").startswith(b"+OK")


def until_ended(pid: int) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while is_running(pid):
        assert time.monotonic() < end, f"{pid} still runs"
        time.sleep(0.02)


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


# When one of them ends


def test_a_worker_that_dies_takes_its_own_sessions_and_is_replaced(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, connect: Connect
) -> None:
    gateway = start_gateway(fake, workers=WORKERS)
    gateway.wait_for("worker started", worker=3)
    victims, others = connect(gateway, 2), [connect(gateway, 1), connect(gateway, 3)]
    others[0].log_in(drop)
    victims.log_in(new_mailbox(fake))
    [pid] = {
        event["pid"] for event in gateway.events if event["event"] == "worker started" and event["worker"] == 2
    }
    os.kill(pid, signal.SIGKILL)
    died = gateway.wait_for("worker died")
    assert (died["worker"], died["pid"], died["how"]) == (2, pid, "killed by SIGKILL")
    with contextlib.suppress(ConnectionError):
        assert victims.line() == b""
    assert others[0].message("RETR 1") == MAIL[0]
    assert others[1].ask("CAPA").startswith(b"+OK")
    assert gateway.wait_for("worker started", worker=2)["pid"] != pid
    assert connect(gateway, 2).log_in(new_mailbox(fake)).startswith(b"+OK")
    assert len(pids(gateway)) == WORKERS


def test_the_connections_of_a_worker_that_died_count_no_more(
    start_gateway: StartGateway, fake: FakeImap, connect: Connect
) -> None:
    gateway = start_gateway(fake, workers=2, limits={"connections_per_address": 2})
    pid = gateway.wait_for("worker started", worker=2)["pid"]
    for worker in (1, 2):
        connect(gateway, worker).log_in(new_mailbox(fake))
    os.kill(pid, signal.SIGKILL)
    gateway.wait_for("worker died")
    with RawClient(gateway.port) as admitted:
        assert admitted.greeting.startswith(b"+OK")


def test_a_worker_that_is_told_to_end_drains_and_is_replaced(
    start_gateway: StartGateway, fake: FakeImap, connect: Connect
) -> None:
    gateway = start_gateway(fake, workers=2)
    pid = gateway.wait_for("worker started", worker=2)["pid"]
    client = connect(gateway, 2)
    begin_transfer(client, fake)
    os.kill(pid, signal.SIGTERM)
    gateway.wait_for("gateway stopping", worker=2)
    finish_transfer(client)
    assert gateway.wait_for("worker died")["how"] == "exit status 0"
    gateway.wait_for("worker started", worker=2)
    assert connect(gateway, 2).ask("CAPA").startswith(b"+OK")


def test_a_worker_that_cannot_start_is_told_tried_again_less_and_less_and_started_in_the_end(
    start_gateway: StartGateway, fake: FakeImap, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    gateway = start_gateway(fake, workers=2, state=str(state))
    pid = gateway.wait_for("worker started", worker=2)["pid"]
    state.rename(tmp_path / "away")
    state.touch()
    os.kill(pid, signal.SIGKILL)
    assert gateway.wait_for("worker died")["how"] == "killed by SIGKILL"
    pauses = []
    for _ in range(2):
        died = gateway.wait_for("worker died")
        assert died["how"].startswith(f"state folder {state}: ")
        pauses.append(died["again_in_seconds"])
    assert pauses == [2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    with RawClient(gateway.port) as client:
        assert client.ask("CAPA").startswith(b"+OK")
    state.unlink()
    (tmp_path / "away").rename(state)
    gateway.wait_for("worker started", worker=2)
    assert gateway.stop() == 0


def test_a_system_that_has_no_more_processes_is_asked_again(
    fake: FakeImap, certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "gateway.yaml").write_text(json.dumps(settings_for(fake, certificates, tmp_path, workers=2)))
    command = [sys.executable, "-c", FAILING_FORK, "serve", "--config", str(tmp_path / "gateway.yaml")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        events = (json.loads(line) for line in process.stderr)
        about_workers = (event for event in events if event["event"].startswith("worker "))
        told = [(event["worker"], event.get("how")) for event in itertools.islice(about_workers, 4)]
        refused = (2, "no process can be started: Resource temporarily unavailable")
        assert told == [(1, None), refused, refused, (2, None)]
        process.terminate()
        process.stderr.read()
    assert process.returncode == 0


def test_without_its_supervisor_a_worker_drains_and_ends(
    start_gateway: StartGateway, fake: FakeImap, connect: Connect
) -> None:
    gateway = start_gateway(fake, workers=2)
    gateway.wait_for("worker started", worker=2)
    workers = pids(gateway)
    client = connect(gateway, 1)
    begin_transfer(client, fake)
    gateway.signal(signal.SIGKILL)
    for _ in workers:
        gateway.wait_for("gateway stopping")
    socket.create_server(("127.0.0.1", gateway.port)).close()
    finish_transfer(client)
    for pid in workers:
        until_ended(pid)


def test_orphans_that_are_not_ours_are_buried_too(
    fake: FakeImap, certificates: Certificates, tmp_path: Path
) -> None:
    """In a container the gateway is process 1, and inherits them."""
    (tmp_path / "gateway.yaml").write_text(json.dumps(settings_for(fake, certificates, tmp_path, workers=2)))
    command = f"sleep 0 & sleep 4 & exec {sys.executable} -m gateway serve --config {tmp_path}/gateway.yaml"
    with subprocess.Popen(["sh", "-c", command], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        events = (json.loads(line) for line in process.stderr)
        started = (event for event in events if event["event"] == "worker started")
        workers = {event["pid"] for event in itertools.islice(started, 2)}
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        end = time.monotonic() + WAIT_SECONDS
        while {int(pid) for pid in children.read_text().split()} != workers:
            assert time.monotonic() < end
            time.sleep(0.05)
        process.terminate()
        process.stderr.read()


# When all are to end


@pytest.mark.parametrize("everybody", [False, True], ids=["the supervisor", "every process, as systemd does"])
def test_a_signal_drains_all_of_them(
    start_gateway: StartGateway, fake: FakeImap, connect: Connect, everybody: bool
) -> None:
    gateway = start_gateway(fake, workers=2)
    gateway.wait_for("worker started", worker=2)
    workers = pids(gateway)
    clients = [connect(gateway, worker) for worker in (1, 2)]
    for client in clients:
        begin_transfer(client, fake)
    for pid in [gateway.pid, *workers] if everybody else [gateway.pid]:
        os.kill(pid, signal.SIGTERM)
    for _ in workers:
        gateway.wait_for("gateway stopping")
    socket.create_server(("127.0.0.1", gateway.port)).close()
    for client in clients:
        finish_transfer(client)
    assert gateway.wait() == 0
    assert not [pid for pid in workers if is_running(pid)]


def test_a_second_signal_does_not_wait(start_gateway: StartGateway, fake: FakeImap, connect: Connect) -> None:
    gateway = start_gateway(fake, workers=2, timeouts={"shutdown": 3600})
    gateway.wait_for("worker started", worker=2)
    workers = pids(gateway)
    client = connect(gateway, 2)
    begin_transfer(client, fake)
    gateway.signal(signal.SIGINT)
    gateway.wait_for("gateway stopping", worker=2)
    assert gateway.stop() == 0
    assert not [pid for pid in workers if is_running(pid)]


def test_a_worker_that_hangs_does_not_keep_the_gateway_from_ending(
    start_gateway: StartGateway, fake: FakeImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = start_gateway(fake, workers=2, timeouts={"shutdown": 1})
    pid = gateway.wait_for("worker started", worker=2)["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert gateway.stop() == 0
    assert not is_running(pid)


def test_a_hangup_is_every_workers_and_ends_none(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, connect: Connect
) -> None:
    gateway = start_gateway(fake, workers=2)
    gateway.wait_for("worker started", worker=2)
    workers = pids(gateway)
    client = connect(gateway, 2)
    client.log_in(drop)
    gateway.signal(signal.SIGHUP)
    told = {gateway.wait_for("certificate reloaded")["worker"] for _ in workers}
    assert told == {1, 2}
    assert client.ask("STAT").startswith(b"+OK")
    assert pids(gateway) == workers
    assert gateway.stop() == 0


# When it cannot begin


def ended(settings: dict[str, object], folder: Path) -> tuple[int, str]:
    """Exit status and standard error of a gateway that cannot begin."""
    folder.mkdir(exist_ok=True)
    (folder / "gateway.yaml").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(folder / "gateway.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("listen", ["pop3://127.0.0.1:{port}"]),
        ("listen", ["pop3://127.0.0.1:0", "pop3s://nowhere.invalid:995"]),
        ("tls", {"certificate": "/dev/null"}),
        ("upstream", {"url": "imaps://127.0.0.1", "ca_file": "/dev/null"}),
        ("state", "/dev/null"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_once_as_one_process_tells_it(
    fake: FakeImap, certificates: Certificates, tmp_path: Path, key: str, value: object
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = settings_for(fake, certificates, tmp_path) | {
            key: json.loads(json.dumps(value).replace("{port}", str(port)))
        }
        alone = ended(settings, tmp_path)
        assert alone[0] in (1, 2)
        assert alone[1].startswith("pop3-gateway: ")
        assert ended(settings | {"workers": 3}, tmp_path) == alone


def test_two_gateways_do_not_share_a_port(
    start_gateway: StartGateway, fake: FakeImap, certificates: Certificates, tmp_path: Path
) -> None:
    gateway = start_gateway(fake, workers=2)
    settings = settings_for(fake, certificates, tmp_path) | {"listen": [f"pop3://127.0.0.1:{gateway.port}"]}
    for workers in (1, 2):
        status, told = ended(settings | {"workers": workers}, tmp_path)
        assert (status, told.count("\n")) == (1, 1)
        assert "Address already in use" in told


def test_several_gateways_may_begin_in_one_new_folder_at_once(
    start_gateway: StartGateway, fake: FakeImap, certificates: Certificates, tmp_path: Path
) -> None:
    settings = settings_for(fake, certificates, tmp_path, listen=["pop3s://127.0.0.1:0"], tls={})
    (tmp_path / "gateway.yaml").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(tmp_path / "gateway.yaml")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    told = []
    for process in running:
        assert process.stderr is not None
        told += list(itertools.takewhile(lambda line: '"listening"' not in line, process.stderr))
        process.terminate()
        assert process.communicate(timeout=WAIT_SECONDS)[1].count("gateway stopped") == 1
        assert process.returncode == 0
    assert sum("made a self-signed one" in line for line in told) == 1
