"""The commands beside a gateway that is another user: root may look after it, and locks it out of nothing."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do what belongs to another user")


@pytest.fixture
def state() -> Iterator[Path]:
    """Where others can get at it: what pytest gives us is closed to them."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o711)
        folder = Path(above) / "state"
        folder.mkdir(mode=0o700)
        os.chown(folder, NOBODY, NOBODY)
        yield folder


def call(state: Path, *arguments: str, said: str = "") -> str:
    """Standard output."""
    command = [sys.executable, "-W", "error", "-m", "gateway", *arguments, "--state", str(state)]
    command += ["--upstream", "imaps://imap.example.com"]
    return subprocess.run(command, input=said, capture_output=True, text=True, check=True, timeout=60).stdout


def test_what_root_makes_in_the_state_is_its_owner_s(state: Path) -> None:
    """Else no account, and nobody who passes through, could log in any more."""
    call(state, "account", "add", "ann", "--no-check", said="secret\n")
    call(state, "vault", "rotate")
    made = {path.name: path.stat() for path in [state, *state.rglob("*")]}
    assert {"accounts.sqlite3", "vault.keys"} <= made.keys()
    assert {found.st_uid for found in made.values()} == {NOBODY}
    assert not [name for name, found in made.items() if found.st_mode & 0o077]
    assert "ann" in call(state, "account", "list")


def test_what_the_owner_writes_meanwhile_is_its_own_still(state: Path) -> None:
    """SQLite's files beside the database come and go with whoever opens it first."""
    call(state, "account", "add", "ann", "--no-check", said="secret\n")
    database = state / "accounts.sqlite3"
    code = (
        "import os, sqlite3, sys; os.setgid(65534); os.setuid(65534);"
        "opened = sqlite3.connect(sys.argv[1]); opened.execute('UPDATE account SET folder=?', ('F',));"
        "opened.commit(); print(opened.execute('SELECT folder FROM account').fetchall())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(database)], capture_output=True, text=True, check=True)
    assert done.stdout == "[('F',)]\n"
