"""Several processes on one port: what is told when they cannot begin, and gateways that begin at once."""

import itertools
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.imap import FakeImap
from tests.gateway_process import StartGateway, settings_for
from tests.servers.tls import Certificates

WAIT_SECONDS = 20.0


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
