"""`account` at a terminal: what is typed is not shown, what is waited for shows how far it is."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.pseudo_terminal import Terminal
from tests.fakes.imap import FakeImap
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates

At = Callable[..., Terminal]


@pytest.fixture
def drop(certificates: Certificates) -> Iterator[Mailbox]:
    with FakeImap(certificates) as fake:
        yield new_mailbox(fake)


@pytest.fixture
def at(drop: Mailbox, tmp_path: Path) -> At:
    """A command at a terminal, with our settings."""
    config = tmp_path / "gateway.yaml"
    server = drop.server
    url = f"imaps://{server.host}:{server.imaps_port}?ca_file={server.ca_file}"
    config.write_text(json.dumps({"upstream": url, "state": str(tmp_path / "state")}))
    return lambda *arguments: Terminal([*arguments, "--config", str(config)])


def test_a_password_that_is_typed_is_not_shown(at: At, drop: Mailbox) -> None:
    with at("account", "add", drop.user, "--label", "printer") as terminal:
        terminal.wait_for(f"assword of {drop.user}[^\n]*: $")
        assert not terminal.shows_what_is_typed
        terminal.type(f"{drop.password}\n")
        shown = terminal.wait_for(r"password:\s+([a-z2-9]{4}(?:-[a-z2-9]{4}){3})")
        assert terminal.end() == 0
        assert drop.password not in terminal.seen
        assert terminal.text.count(shown.group(1)) == 1
        assert terminal.shows_what_is_typed


def test_ctrl_c_at_the_prompt_makes_no_account_and_leaves_the_terminal_as_it_was(at: At, drop: Mailbox) -> None:
    with at("account", "add", drop.user) as terminal:
        terminal.wait_for("assword of")
        terminal.interrupt()
        assert terminal.end() == 1
        assert terminal.shows_what_is_typed
        assert "Traceback" not in terminal.text
    with at("account", "list") as terminal:
        assert terminal.end() == 0
        assert drop.user not in terminal.text


def test_an_import_shows_how_far_it_is(at: At, tmp_path: Path) -> None:
    lines = tmp_path / "list.jsonl"
    record = {"secret": "s", "passwords": [{"password": "p"}]}
    lines.write_text("".join(json.dumps(record | {"login": f"user{number}"}) + "\n" for number in range(40)))
    with at("account", "import", str(lines)) as terminal:
        terminal.wait_for(r"accounts [^\n]* (?!0%|100%)\d+%")
        assert terminal.end() == 0
        assert "40 accounts taken" in terminal.text
