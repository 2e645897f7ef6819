"""`check` tells what is wrong before a client does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes.imap import FakeImap
from tests.servers import tls
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates


@pytest.fixture
def fake(certificates: Certificates) -> Iterator[FakeImap]:
    with FakeImap(certificates) as running:
        yield running


@pytest.fixture
def drop(fake: FakeImap) -> Mailbox:
    made = new_mailbox(fake)
    made.deliver([b"Subject: one\r\n\r\n"])
    return made


def check(fake: FakeImap, drop: Mailbox, folder: Path, password: str, more: str = "") -> tuple[int, str]:
    file = folder / "gateway.yaml"
    url = f"imaps://{fake.host}:{fake.imaps_port}"
    file.write_text(f"upstream: {{url: '{url}', ca_file: '{fake.ca_file}'}}\n{more}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POP3_GATEWAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "--config", str(file), "--user", drop.user],
        input=password + "\n", capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_what_is_right_is_told_and_nothing_is_changed(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    status, told = check(fake, drop, tmp_path, drop.password)
    assert status == 0
    assert "INBOX has 1 messages, 16 octets" in told
    assert "auto: deleted messages are removed" in told
    assert drop.messages()[0].flags == frozenset()
    assert list(tmp_path.iterdir()) == [tmp_path / "gateway.yaml"]


def test_a_wrong_password_is_told_and_not_shown(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    status, told = check(fake, drop, tmp_path, "hunter2hunter2")
    assert status == 1
    assert "the login was refused" in told
    assert "hunter2" not in told


def test_a_folder_that_no_policy_uses_is_told(fake: FakeImap, drop: Mailbox, tmp_path: Path) -> None:
    status, told = check(fake, drop, tmp_path, drop.password, "maildrop: {trash: Bin}")
    assert status == 0
    assert "auto: deleted messages are removed" in told
    assert "note  maildrop.trash: Bin is not used; on_delete: trash would move deleted messages there" in told


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("maildrop: {on_delete: trash}", "set maildrop.trash"),
        ("maildrop: {on_delete: trash, trash: Nowhere}", "there is no folder Nowhere"),
        ("maildrop: {folder: Nowhere}", "opening Nowhere (maildrop.folder): "),
    ],
)
def test_a_folder_that_is_not_there_is_told(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, policy: str, said: str
) -> None:
    status, told = check(fake, drop, tmp_path, drop.password, policy)
    assert status != 0
    assert said in told


@pytest.mark.parametrize(
    ("days", "status", "said"),
    [(20, 0, "ok    certificate: for "), (5, 0, "note  certificate: for "), (-1, 2, "has ended; renew it")],
)
def test_a_certificate_that_ends_is_told(
    fake: FakeImap, drop: Mailbox, tmp_path: Path, days: int, status: int, said: str
) -> None:
    made = tls.make(tmp_path, lifetime=timedelta(days=days))
    done, told = check(
        fake, drop, tmp_path, drop.password, f"tls: {{certificate: {made.cert_file}, key: {made.key_file}}}"
    )
    assert done == status
    assert said in told
