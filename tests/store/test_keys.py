"""The keys that encrypt what is secret."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.errors import StateError
from gateway.store.keys import ENVIRONMENT, Keys, add_key

FIRST = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
SECOND = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vault.keys"


def test_a_missing_file_is_made_and_closed_to_others(file: Path) -> None:
    token = Keys.of(None, file, may_be_new=True).encrypt("secret")
    assert file.stat().st_mode & 0o777 == 0o600
    assert Keys.of(None, file, may_be_new=True).decrypt(token) == "secret"
    assert "secret" not in token


def test_the_environment_goes_before_the_file(file: Path) -> None:
    token = Keys.of(f"{FIRST}, {SECOND}", file, may_be_new=True).encrypt("secret")
    assert not file.exists()
    assert Keys([FIRST], "").decrypt(token) == "secret"


def test_the_first_key_writes_and_each_reads() -> None:
    old = Keys([FIRST], "").encrypt("secret")
    both = Keys([SECOND, FIRST], "")
    assert both.decrypt(old) == "secret"
    assert Keys([SECOND], "").decrypt(both.again(old)) == "secret"


def test_a_new_key_comes_first_and_the_old_ones_stay(file: Path) -> None:
    file.write_text(FIRST + "\n")
    add_key(file)
    new, old = file.read_text().split()
    assert old == FIRST
    assert Keys([new], "").decrypt(Keys.of(None, file, may_be_new=True).encrypt("x")) == "x"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("octets", "why"),
    [(b"", "holds no key"), (b"short\n", "32 octets in URL-safe base64"), (b"\xff", "cannot be read")],
)
def test_a_file_that_is_damaged_is_told_and_left(file: Path, octets: bytes, why: str) -> None:
    file.write_bytes(octets)
    with pytest.raises(StateError, match=why) as refused:
        Keys.of(None, file, may_be_new=True)
    assert str(file) in str(refused.value)
    assert file.read_bytes() == octets


def test_a_wrong_variable_is_named_and_not_shown() -> None:
    with pytest.raises(StateError, match=ENVIRONMENT) as refused:
        Keys.of("hunter2", Path("unused"), may_be_new=True)
    assert "hunter2" not in str(refused.value)


def test_another_key_is_told_as_such() -> None:
    with pytest.raises(StateError, match="another key than those of the file"):
        Keys([SECOND], "the file").decrypt(Keys([FIRST], "").encrypt("secret"))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be written"):
        Keys.of(None, tmp_path / "nowhere" / "vault.keys", may_be_new=True)


def test_a_file_is_whole_or_not_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of one would keep everybody out until somebody removes it."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match="cannot be written: No space left"):
        Keys.of(None, file, may_be_new=True)
    assert list(file.parent.iterdir()) == []
    file.write_text(FIRST)
    with pytest.raises(StateError, match="cannot be written: No space left"):
        add_key(file)
    assert [path.read_text() for path in file.parent.iterdir()] == [FIRST]


def test_of_many_who_make_the_file_at_once_all_have_the_same_keys(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Keys.of(None, file, may_be_new=True), range(8)))
    token = made[0].encrypt("secret")
    assert [keys.decrypt(token) for keys in made] == ["secret"] * 8
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_key_is_added_to_those_that_are_there_and_to_no_others(file: Path) -> None:
    """A file that is lost is to be brought back, not to be begun anew."""
    with pytest.raises(StateError, match="there are no keys in"):
        add_key(file)
    assert not file.exists()
