"""`account add` without a word about where: the domain's MX tells who has the mailbox, and the user is told."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.pseudo_terminal import Terminal
from tests.cli.script import Script
from tests.fakes.imap import FakeImap
from tests.servers.dnsmasq import Dnsmasq
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates


@pytest.fixture(scope="module")
def names() -> Iterator[Dnsmasq]:
    with Dnsmasq(
        "mx-host=contoso.example,contoso-example.mail.protection.outlook.com,0",
        "mx-host=workspace.example,smtp.google.com,1",
        "mx-host=example.org,mx.example.org,10",
    ) as running:
        yield running


@pytest.fixture
def drop(certificates: Certificates) -> Iterator[Mailbox]:
    with FakeImap(certificates) as fake:
        yield new_mailbox(fake)


@pytest.fixture
def config(drop: Mailbox, names: Dnsmasq, tmp_path: Path) -> Path:
    server = drop.server
    url = f"imaps://{server.host}:{server.imaps_port}?ca_file={server.ca_file}"
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps({"upstream": url, "resolver": names.server, "state": str(tmp_path / "state")}))
    return file


def add(config: Path, *arguments: str) -> Terminal:
    return Terminal(["account", "add", *arguments, "--config", str(config)])


@pytest.mark.parametrize(
    ("address", "title", "guide"),
    [
        ("alice@contoso.example", "Microsoft 365", "docs/microsoft365.md"),
        ("alice@workspace.example", "Google", "docs/google.md"),
        ("alice@outlook.com", "Microsoft 365", "docs/microsoft365.md"),
    ],
)
def test_a_provider_is_known_by_the_domain_and_the_user_told_how_to_say_otherwise(
    config: Path, address: str, title: str, guide: str
) -> None:
    with add(config, address) as terminal:
        terminal.wait_for(f"The mail of {address} is with {title}: it takes a sign-in there")
        assert "--provider NAME, or --password" in terminal.text
        terminal.wait_for(rf"(?s)Register one\s+at https://.*{guide} shows how.*Client ID: ")


def test_a_mail_server_that_is_nobodys_is_asked_with_a_password(config: Path, drop: Mailbox) -> None:
    with add(config, drop.user) as terminal:
        terminal.wait_for(f"Password of {drop.user} at the upstream: ")
        terminal.type(drop.password + "\n")
        assert terminal.end() == 0, terminal.text


@pytest.mark.parametrize(
    "arguments",
    [
        ("alice@contoso.example", "--password"),
        ("alice@contoso.example", "--user", "alice"),
        ("alice@contoso.example", "--server", "imaps://imap.example.com"),
        ("alice",),
    ],
)
def test_whoever_says_where_is_not_guessed_at(config: Path, names: Dnsmasq, arguments: tuple[str, ...]) -> None:
    before = names.questions
    with add(config, *arguments) as terminal:
        terminal.wait_for("Password of alice.* at the upstream: ")
    assert names.questions == before


def test_a_password_on_a_pipe_is_a_password_whoever_has_the_domain(
    config: Path, drop: Mailbox, names: Dnsmasq
) -> None:
    before = names.questions
    arguments = ["account", "add", "alice@contoso.example", "--no-check", "--config", str(config)]
    with Script(arguments, "secret\n") as script:
        assert script.end() == 0, script.errors
    assert names.questions == before


def test_a_name_server_that_is_away_is_told_and_a_password_asked_for(config: Path, drop: Mailbox) -> None:
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"resolver": "127.0.0.1:1"}))
    with add(config, drop.user) as terminal:
        terminal.wait_for("where example.org has its mail cannot be looked up now")
        terminal.wait_for("Password of .*: ")


def test_a_flow_without_a_provider_wants_one(config: Path, drop: Mailbox) -> None:
    with add(config, drop.user, "--flow", "device") as terminal:
        terminal.wait_for(f"who has the mailbox {drop.user} is not known; say it with --provider NAME")
        assert terminal.end() == 2
