"""The state folder: there, writable, and closed to others."""

from pathlib import Path

import pytest

from gateway.errors import StateError
from gateway.store import StateFolder, folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_is_made_with_what_is_above_it_and_closed_to_others(tmp_path: Path) -> None:
    made = StateFolder(tmp_path / "a" / "state")
    assert made.path == tmp_path / "a" / "state"
    assert mode(made.path) == 0o700


def test_one_that_is_there_is_taken_with_what_is_in_it(tmp_path: Path) -> None:
    (StateFolder(tmp_path / "state").path / "file").touch()
    assert (StateFolder(tmp_path / "state").path / "file").exists()


def test_one_that_is_there_stays_as_its_owner_has_it_but_what_we_make_in_it_is_closed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    state = StateFolder(tmp_path / "state")
    assert mode(state.path) == 0o755
    assert mode(state.folder("locks")) == 0o700


def test_nobody_else_can_hold_the_lock_that_we_start_with(tmp_path: Path) -> None:
    """Whoever may read a file may lock it."""
    (tmp_path / "state").mkdir(mode=0o755)
    state = StateFolder(tmp_path / "state")
    with state.alone():
        assert [mode(file) for file in state.path.iterdir()] == [0o600]


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert StateFolder(Path("state")).path == tmp_path / "state"


def test_a_folder_within_is_closed_to_others_too(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    assert state.folder("locks") == state.folder("locks") == tmp_path / "locks"
    assert mode(tmp_path / "locks") == 0o700


def test_a_file_in_its_place_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StateError) as caught:
        StateFolder(tmp_path / "state")
    assert str(caught.value) == (
        f"state folder {tmp_path / 'state'}: File exists; give another with --state or the setting `state`"
    )


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="Not a directory"):
        StateFolder(tmp_path / "file" / "state")


def test_a_file_in_the_place_of_a_folder_within_is_an_error(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    (tmp_path / "locks").touch()
    with pytest.raises(StateError, match="File exists"):
        state.folder("locks")


def test_one_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(StateError, match=r"not writable; give another with --state"):
        StateFolder(tmp_path)


# Where nothing is configured


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder; what is above it is not there, so it cannot be made."""
    path = tmp_path / "var" / "pop3-gateway"
    monkeypatch.setattr(folder, "SYSTEM_FOLDER", path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return path


def test_the_systems_folder_is_the_default_where_it_can_be_written(system: Path) -> None:
    system.mkdir(parents=True)
    assert StateFolder(None).path == system


def test_the_systems_folder_is_made_where_it_can_be_made(system: Path) -> None:
    system.parent.mkdir()
    assert StateFolder(None).path == system


def test_else_it_is_the_users_own(system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert StateFolder(None).path == tmp_path / "home" / ".local" / "state" / "pop3-gateway"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert StateFolder(None).path == tmp_path / "xdg" / "pop3-gateway"


def test_a_user_without_a_home_is_told_to_give_a_folder(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number: no HOME, and no line in passwd."""

    def no_entry(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", no_entry)
    with pytest.raises(StateError, match="--state"):
        StateFolder(None)
