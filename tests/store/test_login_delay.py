"""The time between two logins of a user, in all processes and across restarts."""

from pathlib import Path

import pytest

from gateway.errors import LoggedInTooRecently
from gateway.store import FileLoginDelay
from gateway.store.login_delay import SWEEP_SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logins"


def test_a_second_login_waits_for_the_delay_to_pass(folder: Path, clock: Clock) -> None:
    delay = FileLoginDelay(folder, 60, clock)
    delay.admit("ann")
    delay.logged_in("ann")
    clock.now += 59
    with pytest.raises(LoggedInTooRecently):
        delay.admit("Ann")
    delay.admit("bob")
    clock.now += 1
    delay.admit("ann")


def test_it_counts_wherever_the_first_login_was(folder: Path, clock: Clock) -> None:
    FileLoginDelay(folder, 60, clock).logged_in("ann")
    with pytest.raises(LoggedInTooRecently):
        FileLoginDelay(folder, 60, clock).admit("ann")


def test_it_counts_from_the_last_login(folder: Path, clock: Clock) -> None:
    delay = FileLoginDelay(folder, 60, clock)
    delay.logged_in("ann")
    clock.now += 60
    delay.logged_in("ann")
    clock.now += 59
    with pytest.raises(LoggedInTooRecently):
        delay.admit("ann")


def test_without_a_delay_a_second_login_is_admitted_and_nothing_is_written(folder: Path, clock: Clock) -> None:
    delay = FileLoginDelay(folder, 0, clock)
    delay.logged_in("ann")
    delay.admit("ann")
    assert delay.seconds == 0
    assert not folder.exists()


def test_a_clock_that_was_set_back_locks_nobody_out(folder: Path, clock: Clock) -> None:
    delay = FileLoginDelay(folder, 60, clock)
    delay.logged_in("ann")
    clock.now -= 86_400
    delay.admit("ann")


def test_the_folder_does_not_tell_who_logs_in_and_forgets_whom_it_need_not_know(
    folder: Path, clock: Clock
) -> None:
    delay = FileLoginDelay(folder, 60, clock)
    for name in ("ann@example.com", "../bob", ""):
        delay.logged_in(name)
    assert not [file for file in folder.iterdir() if "ann" in file.name or "bob" in file.name]
    clock.now += SWEEP_SECONDS
    delay.logged_in("cay")
    delay.admit("dan")
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_written_ends_no_login(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "logins").touch()
    FileLoginDelay(tmp_path / "logins", 60, clock).logged_in("ann")
