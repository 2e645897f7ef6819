"""What is to be remembered until when: in a file here, and the same of any other place that it is kept in."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import StateError
from gateway.ports import Deadlines
from gateway.store import deadlines
from gateway.store.deadlines import FileDeadlines
from tests.store.conftest import OpenState

MOST = 1024
Open = Callable[[], Deadlines]  # what is kept in one place, as each process opens it


def add_one(times: Sequence[float]) -> Sequence[float]:
    return [when + 1 for when in times]


def keep(place: Deadlines, key: str, when: float) -> None:
    place.revise([key], lambda _: [when])


def looked_up(place: Deadlines, key: str) -> float:
    """As a login does it."""
    (when,) = place.at_hand([key]) or place.recall([key])
    return when


@pytest.fixture
def open_place(start_state: OpenState) -> Open:
    return lambda: start_state().deadlines("guesses", MOST)


# What every place promises


def test_what_nobody_kept_is_zero(open_place: Open) -> None:
    assert list(open_place().recall(["ann", "bob"])) == [0.0, 0.0]


def test_what_one_keeps_the_others_find(open_place: Open) -> None:
    one, other = open_place(), open_place()
    one.revise(["ann", "bob"], lambda _: [1.5, 2.5])
    assert list(other.recall(["bob", "ann", "cay"])) == [2.5, 1.5, 0.0]
    assert looked_up(one, "ann") == 1.5


def test_a_change_sees_what_there_is(open_place: Open) -> None:
    keep(open_place(), "ann", 7.0)
    seen: list[Sequence[float]] = []

    def change(times: Sequence[float]) -> Sequence[float]:
        seen.append(tuple(times))
        return times

    open_place().revise(["bob", "ann"], change)
    assert seen[-1] == (0.0, 7.0)


def test_a_change_that_fails_changes_nothing(open_place: Open) -> None:
    place = open_place()
    keep(place, "ann", 7.0)
    with pytest.raises(ZeroDivisionError):
        place.revise(["ann"], lambda times: [1 / 0 for _ in times])
    assert looked_up(place, "ann") == 7.0
    keep(place, "ann", 8.0)


def test_keys_of_any_characters_are_kept_apart(open_place: Open) -> None:
    place = open_place()
    keys = ["", "a", "A", "a\0b", "ä", "\ud800", "x" * 100_000]
    for number, key in enumerate(keys, 1):
        keep(place, key, float(number))
    assert list(place.recall(keys)) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def test_no_change_of_several_threads_is_lost(open_place: Open) -> None:
    places = [open_place() for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        for number in range(200):
            threads.submit(places[number % 4].revise, ["ann", f"user {number % 3}"], add_one)
    assert looked_up(places[0], "ann") == 200.0
    assert sum(places[0].recall([f"user {number}" for number in range(3)])) == 200.0


def test_however_many_keys_there_are_the_latest_deadlines_stay(open_place: Open) -> None:
    """Strangers make up names without end; what is due last is what counts most."""
    place = open_place()
    keep(place, "locked out", 1e9)
    for number in range(20 * MOST):
        keep(place, f"made up {number}", float(1 + number % 5))
    assert looked_up(place, "locked out") == 1e9
    found = place.recall([f"made up {number}" for number in range(20 * MOST)])
    assert sum(when > 0 for when in found) <= 2 * MOST


# What is special about a file


def open_file(path: Path, told: list[str] | None = None) -> FileDeadlines:
    return FileDeadlines(path, MOST, lambda: (told if told is not None else []).append("replaced"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "guesses"


def _count_up(path: Path, times: int) -> None:
    place = FileDeadlines(path, MOST)
    for _ in range(times):
        place.revise(["ann"], add_one)


def test_no_change_of_several_processes_is_lost(path: Path) -> None:
    """Which also make the file at the same time."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count_up, args=(path, 500)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert looked_up(open_file(path), "ann") == 1500.0
    assert os.listdir(path.parent) == [path.name]


def test_the_file_grows_no_larger_and_is_nobody_elses_to_read(path: Path) -> None:
    place = open_file(path)
    size = path.stat().st_size
    for number in range(3 * MOST):
        keep(place, f"made up {number}", 1.0)
    assert path.stat().st_size == size < 16 * MOST + 4096
    assert path.stat().st_mode & 0o077 == 0


def test_the_file_does_not_tell_whom_it_is_about(path: Path) -> None:
    keep(open_file(path), "ann@example.com", 1.0)
    assert b"ann" not in path.read_bytes()


def test_a_login_takes_no_lock_and_waits_for_no_writer(path: Path) -> None:
    place, other = open_file(path), open_file(path)
    found = []

    def change(times: Sequence[float]) -> Sequence[float]:
        found.append(looked_up(place, "ann"))
        found.append(looked_up(other, "ann"))
        return times

    place.revise(["ann"], change)
    assert found == [0.0, 0.0]


def test_who_waits_too_long_for_another_writer_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "BUSY_SECONDS", 0.05)
    place, other = open_file(path), open_file(path)

    def change(times: Sequence[float]) -> Sequence[float]:
        with pytest.raises(StateError, match="busy"):
            keep(other, "bob", 1.0)
        return times

    place.revise(["ann"], change)
    keep(other, "bob", 1.0)


@pytest.mark.parametrize("replace", [lambda path: path.unlink(), lambda path: path.write_bytes(b"something else")])
def test_a_file_that_was_removed_or_damaged_is_made_anew_and_that_is_told(
    path: Path, replace: Callable[[Path], object]
) -> None:
    told: list[str] = []
    place = open_file(path, told)
    keep(place, "ann", 5.0)
    replacement = path.with_name("other")
    replacement.touch()
    replacement.replace(path)
    replace(path)
    keep(place, "bob", 6.0)
    assert told == ["replaced"]
    assert looked_up(open_file(path), "bob") == 6.0
    assert looked_up(place, "ann") == 0.0


def test_a_file_that_is_cut_meanwhile_has_forgotten(path: Path) -> None:
    place = open_file(path)
    keep(place, "ann", 5.0)
    os.truncate(path, 128 + 12)
    assert looked_up(place, "ann") in (0.0, 5.0)
    keep(place, "ann", 6.0)
    assert looked_up(open_file(path), "ann") in (0.0, 6.0)


def test_a_state_folder_that_was_removed_is_made_again(path: Path) -> None:
    place = open_file(path / "state" / "guesses")
    (path / "state" / "guesses").unlink()
    (path / "state").rmdir()
    keep(place, "ann", 5.0)
    assert looked_up(place, "ann") == 5.0


def test_one_of_another_gateway_is_taken_as_it_is(path: Path) -> None:
    told: list[str] = []
    place, other = open_file(path, told), open_file(path.with_name("other"))
    keep(other, "ann", 5.0)
    path.with_name("other").replace(path)
    keep(place, "bob", 6.0)
    assert looked_up(place, "ann") == 5.0
    assert not told


def test_a_folder_that_cannot_be_used_is_an_error_of_the_state(path: Path) -> None:
    path.touch()
    with pytest.raises(StateError, match="Not a directory"):
        open_file(path / "guesses")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=2048), st.integers(0, 16 * MOST))
def test_whatever_is_in_the_file_a_login_gets_numbers(tmp_path: Path, octets: bytes, start: int) -> None:
    path = tmp_path / f"guesses {time.monotonic_ns()}"
    place = open_file(path)
    with path.open("r+b") as file:
        file.seek(start)
        file.write(octets)
        file.truncate(path.stat().st_size)
    found = open_file(path)
    keep(found, "ann", 5.0)
    for when in (*found.recall(["ann", "bob"]), *place.recall(["ann", "bob"])):
        assert when == when  # or it is no number
    assert looked_up(found, "ann") == 5.0
    found.close()
    place.close()
