"""What a command wants of the settings: an upstream, only where it connects to one."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import commands
from gateway.errors import InvitationVoid, SettingsError

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """A command with settings that name no upstream; `said` is its standard input."""
    config = tmp_path / "gateway.yaml"
    config.write_text(f"{{state: {tmp_path}/state, web: {{listen: 'http://127.0.0.1:8110'}}}}")

    def call(*arguments: str, said: str = "") -> Result:
        return CliRunner().invoke(commands, [*arguments, "--config", str(config)], input=said)

    return call


ANN = '{"login": "ann", "secret": "s", "upstream": "imaps://there.example", "passwords": [{"password": "p"}]}'


@pytest.mark.parametrize(
    "arguments",
    [
        ["account", "list"],
        ["account", "show", "ann"],
        ["account", "export", "-"],
        ["account", "password", "add", "ann"],
        ["account", "invite", "bob"],
        ["account", "invitations"],
        ["account", "remove", "ann", "--yes"],
        ["vault", "rotate"],
    ],
)
def test_whoever_looks_after_the_state_names_no_upstream(call: Call, arguments: list[str]) -> None:
    assert call("account", "import", "-", said=ANN).exit_code == 0
    result = call(*arguments)
    assert result.exit_code == 0, result.exception


@pytest.mark.parametrize(
    "arguments",
    [["check"], ["account", "add", "bob"], ["account", "authorize", "ann"], ["account", "change", "ann"]],
)
def test_whoever_connects_is_asked_which(call: Call, arguments: list[str]) -> None:
    result = call(*arguments)
    assert isinstance(result.exception, SettingsError)
    assert "which IMAP server?" in str(result.exception)


@pytest.mark.parametrize(("said", "meant"), [(["serv"], "serve"), (["account", "ad"], "add")])
def test_a_command_that_is_not_there_is_told_with_the_one_that_is_meant(said: list[str], meant: str) -> None:
    result = CliRunner().invoke(commands, said)
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.stderr


def test_invitations_are_listed_and_withdrawn(call: Call) -> None:
    assert "no invitations" in call("account", "invitations").stdout
    made = {}
    for login in ("ann@example.org", "bob"):
        result = call("account", "invite", login, "--expires", "2127-01-31", "--json")
        made[login] = json.loads(result.stdout)
    told = call("account", "invitations", "--json")
    assert json.loads(told.stdout) == [
        {"name": made[login]["name"], "login": login, "provider": "", "until": "2127-02-01T00:00Z"}
        for login in ("ann@example.org", "bob")
    ]
    name = made["bob"]["name"]
    assert f"{name} is withdrawn" in call("account", "uninvite", name).stderr
    listed = call("account", "invitations").stdout
    assert "ann@example.org" in listed
    assert "the person chooses" in listed
    assert "bob" not in listed
    again = call("account", "uninvite", name)
    assert isinstance(again.exception, InvitationVoid)
    assert "`account invitations` tells which there are" in str(again.exception)


def test_whoever_is_invited_in_words_is_told_how_to_take_it_back(call: Call) -> None:
    [name] = re.findall("account uninvite ([0-9a-f]+)`", call("account", "invite", "ann").stderr)
    assert call("account", "uninvite", name).exit_code == 0


def test_a_wrong_upstream_is_told_all_the_same(call: Call) -> None:
    result = call("account", "list", "--upstream", "pop3://there.example")
    assert isinstance(result.exception, SettingsError)
    assert "here it is imaps:// or imap://" in str(result.exception)
