"""The exit status: 1 for what may be possible another time, 2 for what only the operator can mend."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = 65534
# Root may read everything, but for one who has given this away. (Another user might not get at the interpreter.)
BOUND_BY_MODES = "setpriv", "--bounding-set=-dac_override,-dac_read_search"


def run(*arguments: str, through: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit status and standard error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POP3_GATEWAY_")}
    command = [*through, sys.executable, "-m", "gateway", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    return done.returncode, done.stderr


def serve(tmp_path: Path, listen: str, upstream: str = "imaps://imap.example.com") -> tuple[int, str]:
    return run("serve", "--upstream", upstream, "--listen", listen, "--state", str(tmp_path / "state"))


def test_a_port_in_use_may_be_free_another_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, told = serve(tmp_path, f"pop3://127.0.0.1:{other.getsockname()[1]}")
    assert status == 1
    assert "Address already in use; another program listens there: end it, or choose another port" in told


def test_an_address_that_is_not_ours_may_be_another_time(tmp_path: Path) -> None:
    status, told = serve(tmp_path, "pop3://192.0.2.1:1110")
    assert status == 1
    assert "no network interface has this address" in told


def test_a_server_that_cannot_be_reached_may_be_another_time() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        status, _ = run("check", "--upstream", f"imap://127.0.0.1:{closed.getsockname()[1]}")
    assert status == 1


def test_a_setting_that_is_wrong_stays_wrong(tmp_path: Path) -> None:
    assert serve(tmp_path, "imap://h")[0] == 2
    assert serve(tmp_path, "pop3://127.0.0.1:0", "imaps://h?ca_file=/dev/null")[0] == 2
    assert run("serve", "--colour")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("account", "add", "ann", "--server", "pop3://h"),
        ("account", "add", "ann", "--expires", "soon"),
        ("account", "add", "ann", "--network", "10.0.0.1/8"),
        ("account", "add", "ann", "--provider", "nobody"),
        ("account", "add", "ann", "--colour"),
        ("account", "show", "nobody"),
        ("account", "import", "nowhere"),
    ],
)
def test_so_does_a_value_on_the_command_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    place = "--upstream", "imaps://imap.example.com", "--state", str(tmp_path / "state")
    status, told = run(*arguments, *place)
    assert status == 2, told
    assert "Traceback" not in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_settings_file_that_may_not_be_read_is_told_as_any_other_mistake(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.touch(mode=0o600)
    os.chown(file, NOBODY, NOBODY)
    assert run("check", "--config", str(file), through=BOUND_BY_MODES) == (
        2,
        f"pop3-gateway: {file}: Permission denied; it is named by --config or POP3_GATEWAY_CONFIG\n",
    )
