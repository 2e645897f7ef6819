"""The suite once more, with stored accounts in the place of pass-through: TEST_ACCOUNTS=stored pytest …

Every account that a test makes on a mail server has one in the gateway, with the same password for its device. A
test that is about the upstream's judging passwords says so with the marker `pass_through`, and is left out.
"""

import base64
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.accounts import made
from gateway.ports import StoredAccount
from gateway.sasl import Secret
from gateway.store import Keys, open_state
from tests.fakes.imap import FakeImap
from tests.gateway_process import GatewayProcess
from tests.servers.courier import Courier
from tests.servers.cyrus import Cyrus
from tests.servers.dovecot import Dovecot

KEY = base64.urlsafe_b64encode(bytes(32)).decode()  # of gateways that share a state
SERVERS = (Dovecot, Cyrus, Courier, FakeImap)

_accounts: dict[str, StoredAccount] = {}  # by login name in small letters
_running: dict[Path, dict[str, Any]] = {}  # settings of the gateways that run, by their file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    about_pass_through = pytest.mark.skip(reason="this one is about the upstream's judging the client's password")
    for item in items:
        if item.get_closest_marker("pass_through"):
            item.add_marker(about_pass_through)


@pytest.fixture(scope="session", autouse=True)
def stored_accounts() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for server in SERVERS:
            patch.setattr(server, "add_user", _also_here(server.add_user))
        patch.setattr(GatewayProcess, "__init__", _with_accounts(GatewayProcess.__init__))
        patch.setattr(GatewayProcess, "_finish", _and_forget(GatewayProcess._finish))
        yield


def _also_here(add_user: Callable[..., None]) -> Callable[..., None]:
    def adding(server: object, name: str, password: str) -> None:
        add_user(server, name, password)
        account = made.new_account(name, Secret(password), time.time())
        kept, _ = made.new_password(account, made.Terms(), time.time(), readable=False, given=Secret(password))
        _accounts[name.casefold()] = account = replace(account, passwords=(kept,))
        for settings in _running.values():
            _put(settings, [account])

    return adding


def _with_accounts(start: Callable[..., None]) -> Callable[..., None]:
    def starting(process: GatewayProcess, settings: dict[str, Any], folder: Path) -> None:
        if "accounts" not in settings:
            shared = {"keys": KEY} if "state_folder" in settings else {}
            settings = settings | {"accounts": {"pass_through": False} | shared}
            _running[folder / "gateway.yaml"] = settings
            _put(settings, _accounts.values())
        start(process, settings, folder)

    return starting


def _and_forget(finish: Callable[..., None]) -> Callable[..., None]:
    def finishing(process: GatewayProcess) -> None:
        finish(process)
        _running.pop(process.config, None)

    return finishing


def _put(settings: dict[str, Any], accounts: Iterable[StoredAccount]) -> None:
    """Into the state that a gateway has, in a folder or shared with others."""
    shared = "state_folder" in settings
    folder = Path(settings["state_folder"] if shared else settings["state"])
    given = settings["accounts"].get("keys")
    with closing(open_state(folder, settings["state"] if shared else None)) as state:
        vault = state.vault(lambda _: Keys.of(given, state.folder.path / "vault.keys", may_be_new=True))
        for account in accounts:
            if not vault.is_unused and vault.find(account.login):
                vault.remove(account.login)
            vault.add(account)
