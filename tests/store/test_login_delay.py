"""The time between two logins of a user, in all processes and across restarts."""

import time
from pathlib import Path

import pytest

from gateway.errors import LoggedInTooRecently
from gateway.ports import LoginDelay
from gateway.store import State, login_delay
from gateway.store.login_delay import SWEEP_SECONDS, FileLoginDelay
from tests.servers.postgres import Postgres
from tests.store.conftest import OpenState, Place

PATIENCE_SECONDS = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def is_admitted(delay: LoginDelay, name: str) -> bool:
    try:
        delay.admit(name)
    except LoggedInTooRecently:
        return False
    return True


def wait_until(delay: LoginDelay, name: str, *, admitted: bool) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while is_admitted(delay, name) is not admitted:
        assert time.monotonic() < end
        time.sleep(0.01)


# In every state


def test_a_second_login_is_refused_wherever_the_first_one_was(state: State, start_state: OpenState) -> None:
    here, elsewhere = state.login_delay(600), start_state().login_delay(600)
    assert is_admitted(here, "ann")
    here.logged_in("ann")
    assert not is_admitted(here, "Ann")
    wait_until(elsewhere, "ann", admitted=False)
    assert is_admitted(elsewhere, "bob")
    assert here.seconds == 600


def test_once_the_delay_has_passed_it_is_admitted(state: State) -> None:
    delay = state.login_delay(1)
    delay.logged_in("ann")
    assert not is_admitted(delay, "ann")
    wait_until(delay, "ann", admitted=True)


def test_without_a_delay_nobody_waits(state: State) -> None:
    delay = state.login_delay(0)
    delay.logged_in("ann")
    assert is_admitted(delay, "ann")


# In PostgreSQL


def test_the_database_forgets_whom_it_need_not_know(
    shared_postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = shared_postgres.new_database()
    state = Place(tmp_path, url).open()
    delay = state.login_delay(60)
    for name in ("ann@example.com", "../bob", ""):
        delay.logged_in(name)
    names = "SELECT maildrop FROM pop3_gateway.login"
    wait_for_rows(shared_postgres, url, 3)
    assert not [name for (name,) in shared_postgres.run(url, names) if "ann" in name or "bob" in name]
    shared_postgres.run(url, "UPDATE pop3_gateway.login SET moment = moment - interval '61 s'")
    monkeypatch.setattr(login_delay, "SWEEP_SECONDS", 0.0)
    delay.logged_in("cay")
    wait_for_rows(shared_postgres, url, 1)
    state.close()


def wait_for_rows(server: Postgres, url: str, count: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while server.run(url, "SELECT count(*) FROM pop3_gateway.login") != [(count,)]:
        assert time.monotonic() < end
        time.sleep(0.01)


# In files


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
