"""The state folder goes away while the gateway runs: it is begun anew; where that cannot be, the log is loud."""

import shutil
from pathlib import Path

import pytest

from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox

pytestmark = pytest.mark.pass_through  # stored accounts go with the folder


@pytest.mark.parametrize("limits", [{}, {"login_delay": 1}], ids=str)
def test_service_goes_on_in_a_folder_that_is_made_again(
    start_gateway: StartGateway, drop: Mailbox, tmp_path: Path, limits: dict[str, int]
) -> None:
    state = tmp_path / "state"
    gateway = start_gateway(drop.server, state=str(state), limits=limits)
    shutil.rmtree(state)
    with RawClient(gateway.port) as client:
        assert client.log_in(drop).startswith(b"+OK")
        assert client.ask("DELE 1").startswith(b"+OK")
        assert client.ask("QUIT") == b"+OK 1 message deleted"
    gateway.wait_for("the state file was removed or replaced: what it knew is lost, begun anew")
    assert {path.stat().st_mode & 0o077 for path in (state, *state.rglob("*")) if path.is_dir()} == {0}


def test_a_login_that_fails_for_want_of_state_is_an_error_in_the_log(
    start_gateway: StartGateway, drop: Mailbox, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    gateway = start_gateway(drop.server, state=str(state))
    shutil.rmtree(state)
    state.touch()
    with RawClient(gateway.port) as client:
        assert client.log_in(drop).startswith(
            b"-ERR [SYS/TEMP] service unavailable: the gateway cannot use its state"
        )
    gateway.wait_for("login failed here, not at the mail server", level="error")
