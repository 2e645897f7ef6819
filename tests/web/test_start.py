"""Who has no page pays nothing for it, and who lacks something is told what."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.machine import free_ports

WITHOUT = """
import sys
from gateway.app.gateway import Gateway
from gateway.cli import main
print(*sorted({"jinja2", "h11", "gateway.web", "gateway.enrolment", "gateway.app.page"} & sys.modules.keys()))
"""
WITH_NO_TEMPLATES = """
import sys
sys.modules["jinja2"] = None
from gateway.cli import main
main()
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)


def test_without_a_page_none_of_it_is_loaded() -> None:
    done = run(WITHOUT)
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize(("command", "workers"), [("serve", 1), ("serve", 2), ("check", 1)])
def test_what_is_not_installed_is_named_with_how_to_get_it(tmp_path: Path, command: str, workers: int) -> None:
    ports = free_ports("127.0.0.1", 2)
    (tmp_path / "gateway.yaml").write_text(
        f"{{upstream: imaps://localhost, listen: pop3://127.0.0.1:{ports[0]}, state: {tmp_path}/state,"
        f" web: {{listen: 'http://127.0.0.1:{ports[1]}'}}, workers: {workers}}}"
    )
    done = run(WITH_NO_TEMPLATES, command, "--config", str(tmp_path / "gateway.yaml"))
    assert done.returncode == 2
    assert "pip install '.[web]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told_as_for_any_listener(tmp_path: Path) -> None:
    [port] = free_ports("127.0.0.1", 1)
    (tmp_path / "gateway.yaml").write_text(
        f"{{upstream: imaps://localhost, listen: pop3://127.0.0.1:{port}, state: {tmp_path}/state,"
        f" web: {{listen: 'http://127.0.0.1:{port}'}}}}"
    )
    done = run("from gateway.cli import main; main()", "serve", "--config", str(tmp_path / "gateway.yaml"))
    assert done.returncode != 0
    assert f"cannot listen on http://127.0.0.1:{port}: " in done.stderr
    assert "another program listens there" in done.stderr
    assert "Traceback" not in done.stderr
