"""Several processes on one port: what becomes of each when another one ends, and how all of them do."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.workers.supervisor import FIRST_PAUSE_SECONDS
from tests.fakes.imap import FakeImap
from tests.gateway_process import StartGateway, settings_for
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.messages import large
from tests.servers.tls import Certificates
from tests.workers.conftest import MAIL, WORKERS, Connect, is_running, pids

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
    os.waitid(os.P_PID, gateway.pid, os.WEXITED | os.WNOWAIT)  # it closes one file after the other: the ports, too
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
