"""`account` and `vault`: what they ask, what they keep, and what they show once."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.app.state import rotate_keys, vault_of
from gateway.cli import commands
from gateway.config import load
from gateway.errors import GatewayError
from gateway.store.state import VAULT_FILE
from tests.fakes.imap import FakeImap
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates

Call = Callable[..., Result]
PASSWORD = re.compile(r"^[a-z2-9]{4}(-[a-z2-9]{4}){3}$", re.MULTILINE)


@pytest.fixture
def fake(certificates: Certificates) -> Iterator[FakeImap]:
    with FakeImap(certificates) as running:
        yield running


@pytest.fixture
def drop(fake: FakeImap) -> Mailbox:
    return new_mailbox(fake)


@pytest.fixture
def call(fake: FakeImap, tmp_path: Path) -> Call:
    """A command with our settings; `said` is its standard input."""
    config = tmp_path / "gateway.yaml"
    url = f"imaps://{fake.host}:{fake.imaps_port}"
    config.write_text(f"upstream: {{url: '{url}', ca_file: '{fake.ca_file}'}}\nstate: '{tmp_path}/state'\n")

    def call(*arguments: str, said: str = "") -> Result:
        return CliRunner().invoke(commands, [*arguments, "--config", str(config)], input=said)

    return call


def refusal(result: Result) -> str:
    assert isinstance(result.exception, GatewayError), result.output
    return str(result.exception)


def told(result: Result) -> object:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_new_account_is_tried_and_its_password_shown_once(call: Call, drop: Mailbox) -> None:
    result = call("account", "add", drop.user, "--label", "printer", said=f"{drop.password}\n")
    assert result.exit_code == 0
    assert PASSWORD.fullmatch(result.stdout.strip())
    assert f"logged in as {drop.user}: INBOX has 0 messages" in result.stderr
    for command in ("list", "show"):
        again = call("account", command, *([drop.user] if command == "show" else []))
        assert "printer" in again.stdout
        assert not PASSWORD.search(again.stdout)
        assert drop.password not in again.stdout


def test_a_wrong_password_makes_no_account(call: Call, drop: Mailbox) -> None:
    assert "login as" in refusal(call("account", "add", drop.user, said="hunter2\n"))
    assert told(call("account", "list", "--json")) == []


def test_without_a_password_nothing_is_made(call: Call, drop: Mailbox, tmp_path: Path) -> None:
    why = refusal(call("account", "add", drop.user))
    assert "first line of standard input; or have its owner sign in at a mail provider: --provider NAME" in why
    assert not (tmp_path / "state" / "accounts.sqlite3").exists()


def test_a_name_is_taken_once(call: Call, drop: Mailbox) -> None:
    call("account", "add", drop.user, said=f"{drop.password}\n")
    assert "already" in refusal(call("account", "add", drop.user.upper(), said=f"{drop.password}\n"))


def test_a_folder_that_is_not_there_gets_no_password(call: Call, drop: Mailbox) -> None:
    call("account", "add", drop.user, said=f"{drop.password}\n")
    assert "Nowhere" in refusal(call("account", "password", "add", drop.user, "--folder", "Nowhere"))
    call("account", "password", "add", drop.user, "--folder", "INBOX", "--label", "printer")
    account = told(call("account", "show", drop.user, "--json"))
    assert isinstance(account, dict)
    assert [password["folder"] for password in account["passwords"]] == ["", "INBOX"]


def test_all_that_an_account_can_have(call: Call) -> None:
    options = ["--user", "ann@there", "--server", "imaps://other.example", "--folder", "F", "--on-delete", "trash"]
    call("account", "add", "ann", *options, "--no-check", said="secret\n")
    terms = ["--read-only", "--network", "10.0.0.0/8", "--network", "::1", "--expires", "2027-01-31"]
    call("account", "password", "add", "ann", "--label", "scanner", "--folder", "S", "--no-check", *terms)
    account = told(call("account", "show", "ann", "--json"))
    assert isinstance(account, dict)
    assert account["user"] == "ann@there"
    assert account["upstream"] == "imaps://other.example"
    assert (account["folder"], account["on_delete"]) == ("F", "trash")
    password = account["passwords"][1]
    assert password["networks"] == ["10.0.0.0/8", "::1/128"]
    assert (password["read_only"], password["folder"], password["expires"]) == (True, "S", "2027-01-31")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", account["created"])
    assert password["used"] == ""


def test_the_first_password_may_be_bound_as_any_other(call: Call) -> None:
    terms = ["--read-only", "--network", "10.0.0.0/8", "--expires", "2127-01-31"]
    call("account", "add", "ann", "--on-delete", "flag", *terms, "--no-check", said="secret\n")
    shown = call("account", "show", "ann").stdout
    assert "ann: the usual upstream, on_delete: flag, since" in shown
    assert "read-only, from 10.0.0.0/8" in shown
    assert "2127-01-31" in shown


def test_what_is_shown_is_whole_in_a_file(call: Call) -> None:
    login, label = f"{'long' * 40}@example.org", "a label of " + "many words " * 20
    call("account", "add", login, "--label", label.strip(), "--no-check", said="secret\n")
    for command in (["list"], ["show", login]):
        shown = call("account", *command).stdout
        assert login in shown
        assert label.strip() in shown


def test_a_mailbox_that_moves_keeps_its_passwords(call: Call, drop: Mailbox) -> None:
    call("account", "add", "ann", "--no-check", said=f"{drop.password}\n")
    before = told(call("account", "show", "ann", "--json"))
    assert isinstance(before, dict)
    result = call("account", "change", "ann", "--user", drop.user, "--on-delete", "keep")
    assert f"logged in as {drop.user}: INBOX has 0 messages" in result.stderr
    assert "fetch what is there as new" in result.stderr
    assert told(call("account", "show", "ann", "--json")) == before | {"user": drop.user, "on_delete": "keep"}
    call("account", "change", "ann", "--user", "", "--on-delete", "", "--no-check")
    assert told(call("account", "show", "ann", "--json")) == before


def test_a_change_that_would_not_work_is_not_made(call: Call, drop: Mailbox) -> None:
    call("account", "add", drop.user, said=f"{drop.password}\n")
    before = told(call("account", "list", "--json"))
    assert "login as nobody" in refusal(call("account", "change", drop.user, "--user", "nobody"))
    assert "here it is imaps://" in refusal(call("account", "change", drop.user, "--server", "pop3://h"))
    assert "nothing would change" in call("account", "change", drop.user, "--user", drop.user).stderr
    assert told(call("account", "list", "--json")) == before


def test_a_name_that_is_a_folder_of_another_is_no_account(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POP3_GATEWAY_MAILDROP_FOLDER_SEPARATOR", "/")
    told_so = "ann/Lists is the folder Lists of ann (maildrop.folder_separator): add ann"
    assert told_so in refusal(call("account", "add", "ann/Lists", "--no-check", said="secret\n"))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["add", "ann", "--server", "pop3://h"], "here it is imaps:// or imap://"),
        (["add", "ann", "--server", "imap://h?tls=none"], "passwords would go to h in clear"),
        (["add", "", "--no-check"], "needs a login name"),
        (["show", "bob"], "there is no account bob; `account list` tells"),
        (["remove", "bob", "--yes"], "there is no account bob"),
        (["upstream-password", "bob"], "there is no account bob"),
        (["password", "add", "bob"], "there is no account bob"),
        (["password", "revoke", "bob", "x"], "there is no account bob"),
        (["change", "bob", "--folder", "x"], "there is no account bob"),
        (["add", "ann", "--network", "10.0.0.1/8"], "has host bits set; a network is like"),
        (["add", "ann", "--expires", "2001-01-01"], "has expired already"),
        (["password", "add", "bob", "--expires", "soon"], "write it like 2027-01-31"),
        (["add", "ann", "--label", "a\nb", "--no-check"], "the label has control characters"),
        (["add", "ann", "--user", "\udcff", "--no-check"], "the user has control characters"),
        (["import", "nowhere"], "No such file"),
        (["export", "-"], "there are no accounts yet"),
    ],
)
def test_what_is_wrong_is_told(call: Call, arguments: list[str], why: str) -> None:
    assert why in refusal(call("account", *arguments, said="secret\n"))


@pytest.mark.parametrize("command", [["add"], ["show"], ["remove"], ["upstream-password"], ["password", "add"]])
def test_a_name_that_is_no_text_is_told(call: Call, command: list[str]) -> None:
    """What is no UTF-8 on the command line comes as halves of characters."""
    result = call("account", *command, "\udcff", said="secret\n")
    assert result.exit_code == 2
    assert "no text in this terminal's encoding" in result.stderr


def test_a_label_is_shown_as_it_is(call: Call) -> None:
    """Brackets are a style's name to the library that draws tables."""
    label = "[/x] [bold] [red]"
    call("account", "add", "ann", "--label", label, "--no-check", said="secret\n")
    for command in (["list"], ["show", "ann"]):
        assert label in call("account", *command).stdout


def test_an_export_that_is_not_whole_is_told(call: Call) -> None:
    call("account", "add", "ann", "--no-check", said="secret\n")
    assert "/dev/full cannot be written whole: No space left" in refusal(call("account", "export", "/dev/full"))


def test_a_password_is_revoked_by_its_name(call: Call) -> None:
    call("account", "add", "ann", "--no-check", said="secret\n")
    account = told(call("account", "password", "add", "ann", "--json"))
    assert isinstance(account, dict)
    name = account["passwords"][0]["name"]
    assert call("account", "password", "revoke", "ann", name).exit_code == 0
    assert "no password" in refusal(call("account", "password", "revoke", "ann", name))


def test_removing_asks_first(call: Call) -> None:
    call("account", "add", "ann", "--no-check", said="secret\n")
    asked = call("account", "remove", "ann", said="n\n")
    assert asked.exit_code == 1
    assert "Remove ann and its 1 password?" in asked.stderr
    assert call("account", "remove", "ann", said="y\n").exit_code == 0
    assert told(call("account", "list", "--json")) == []


def test_an_export_can_be_imported_and_holds_no_secret(call: Call, tmp_path: Path) -> None:
    shown = [
        call("account", "add", name, "--no-check", said="hunter2\n").stdout.strip() for name in ("ann", "bob")
    ]
    before = told(call("account", "list", "--json"))
    file = tmp_path / "accounts.jsonl"
    assert call("account", "export", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert not any(secret in file.read_text() for secret in [*shown, "hunter2"])
    call("account", "remove", "ann", "--yes")
    result = call("account", "import", str(file))
    assert result.exit_code == 2  # bob is there
    assert "1 account taken, 1 not" in result.stderr
    assert "line 2: there is an account bob already" in result.stderr
    assert told(call("account", "list", "--json")) == before


def test_an_export_that_fails_leaves_the_one_before_and_nothing_else(call: Call, tmp_path: Path) -> None:
    """It may be the only good one."""
    call("account", "add", "ann", "--no-check", said="secret\n")
    folder = tmp_path / "backup"
    folder.mkdir()
    file = folder / "accounts.jsonl"
    file.touch(0o644)
    assert call("account", "export", str(file)).exit_code == 0
    before = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    (tmp_path / "state" / VAULT_FILE).write_bytes(b"damaged" * 1000)
    assert call("account", "export", str(file)).exit_code == 1
    assert file.read_text() == before
    assert list(folder.iterdir()) == [file]


def test_a_list_of_an_operators_own(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    lines = [
        '{"login": "ann", "secret": "s", "passwords": [{"password": "old", "label": "phone"}]}',
        "",
        "no JSON",
        "[]",
        '{"login": 5}',
        '{"login": "dan", "secret": "\\ud800"}',
        '{"login": "dan", "secret": "s", "upstream": "pop3://h"}',
        "[" * 100_000,
        '{"login": "eve"}',
        '{"login": "cid", "secret": "s"}',
    ]
    file.write_text("\n".join(lines), encoding="utf-8-sig")  # as Windows has it
    result = call("account", "import", str(file))
    wrong = [line.partition(":")[0] for line in result.stderr.splitlines() if line.startswith("line")]
    assert wrong == [f"line {number}" for number in range(3, 10)]
    assert "line 9: eve has neither secret nor provider" in result.stderr
    assert "2 accounts taken, 7 not" in result.stderr
    accounts = told(call("account", "list", "--json"))
    assert isinstance(accounts, list)
    assert [account["login"] for account in accounts] == ["ann", "cid"]


def test_an_import_that_is_killed_has_taken_whole_accounts(call: Call, tmp_path: Path) -> None:
    lines = tmp_path / "list.jsonl"
    record = {"secret": "s", "passwords": [{"password": "p", "label": "phone"}, {"password": "q"}]}
    names = [f"user{number:02}" for number in range(40)]
    lines.write_text("".join(json.dumps(record | {"login": name}) + "\n" for name in names))
    command = [sys.executable, "-m", "gateway", "account", "import", str(lines)]
    with subprocess.Popen([*command, "--config", str(tmp_path / "gateway.yaml")]) as importing:
        with vault_of(load(tmp_path / "gateway.yaml", {}, {})) as vault:
            while vault.is_unused or vault.find(names[1]) is None:
                assert importing.poll() is None
        importing.kill()
    before = told(call("account", "list", "--json"))
    assert isinstance(before, list)
    assert 2 <= len(before) < len(names)
    assert {len(account["passwords"]) for account in before} == {2}
    assert f"{len(names) - len(before)} accounts taken" in call("account", "import", str(lines)).stderr


def test_keys_that_are_lost_are_not_begun_anew(call: Call, tmp_path: Path) -> None:
    call("account", "add", "ann", "--no-check", said="secret\n")
    keys = tmp_path / "state" / "vault.keys"
    keys.unlink()
    assert "where there are accounts already, bring the file back" in refusal(call("vault", "rotate"))
    assert "bring" in refusal(call("account", "show", "ann"))
    assert not keys.exists()


def test_before_the_first_account_there_are_no_keys(call: Call, tmp_path: Path) -> None:
    why = refusal(call("vault", "rotate"))
    assert why.startswith(f"there are no keys in {tmp_path}/state/vault.keys: the first account makes them")


def test_an_export_whose_keys_are_not_here_is_not_taken_and_makes_no_others(call: Call, tmp_path: Path) -> None:
    call("account", "add", "ann", "--no-check", said="secret\n")
    call("account", "export", str(tmp_path / "export.jsonl"))
    shutil.rmtree(tmp_path / "state")
    assert "no keys to read them with" in refusal(call("account", "import", str(tmp_path / "export.jsonl")))
    assert not (tmp_path / "state" / "vault.keys").exists()


def test_where_nobody_looks_it_is_not_shown_how_far_it_is(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "accounts.jsonl"
    call("account", "add", "ann", "--no-check", said="secret\n")
    assert call("account", "export", str(file)).stderr == "1 account\n"
    assert call("vault", "rotate").stderr == "encrypted with the first key: 2 secrets; back the key file up\n"
    call("account", "remove", "ann", "--yes")
    assert call("account", "import", str(file)).stderr == "1 account taken, 0 not\n"


def test_of_rotations_that_come_at_once_none_loses_the_others_key(call: Call, tmp_path: Path) -> None:
    call("account", "add", "ann", "--no-check", said="secret\n")
    settings = load(tmp_path / "gateway.yaml", {}, {})
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: sum(rotate_keys(settings)), range(6))) == [2] * 6
    assert len((tmp_path / "state" / "vault.keys").read_text().split()) == 7
    assert call("account", "show", "ann").exit_code == 0


def test_a_rotation_leaves_all_as_it_was(call: Call, drop: Mailbox, tmp_path: Path) -> None:
    call("account", "add", drop.user, said=f"{drop.password}\n")
    keys = tmp_path / "state" / "vault.keys"
    old = keys.read_text()
    assert "2 secrets" in call("vault", "rotate").stderr
    assert keys.read_text().endswith(old)
    assert len(keys.read_text().split()) == 2
    assert call("account", "upstream-password", drop.user, said=f"{drop.password}\n").exit_code == 0
