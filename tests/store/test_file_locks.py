"""The maildrop lock in files: it leaves none behind, and no holder that is dead."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import MaildropInUse, StateError
from gateway.store.locks import FileLocks

HOLDER = """
import sys, time
from pathlib import Path
from gateway.store.locks import FileLocks
lock = FileLocks(Path(sys.argv[1])).lock("ann")
lock.acquire()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def locks(tmp_path: Path) -> FileLocks:
    return FileLocks(tmp_path)


def descriptors() -> int:
    gc.collect()  # what other tests left
    return len(os.listdir("/proc/self/fd"))


def test_the_folder_does_not_tell_who_is_logged_in_and_is_empty_afterwards(
    locks: FileLocks, tmp_path: Path
) -> None:
    lock = locks.lock("ann@example.com")
    lock.acquire()
    [name] = [path.name for path in tmp_path.iterdir()]
    assert "ann" not in name
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_crash_left_behind_locks_nobody_out(locks: FileLocks, tmp_path: Path) -> None:
    lock = locks.lock("ann")
    lock.acquire()
    [path] = tmp_path.iterdir()
    lock.release()
    path.touch()
    lock.acquire()
    lock.release()


def test_a_refusal_leaves_no_file_open(locks: FileLocks) -> None:
    lock = locks.lock("ann")
    lock.acquire()
    before = descriptors()
    for _ in range(20):
        with pytest.raises(MaildropInUse):
            locks.lock("ann").acquire()
    assert descriptors() == before
    lock.release()
    assert descriptors() == before - 1


def test_a_folder_that_is_gone_is_made_again_and_closed_to_others(tmp_path: Path) -> None:
    lock = FileLocks(tmp_path / "gone" / "too").lock("ann")
    lock.acquire()
    lock.release()
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "gone", tmp_path / "gone" / "too")] == [0o700] * 2


def test_a_folder_that_cannot_be_made_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be locked"):
        FileLocks(tmp_path / "file" / "locks").lock("ann").acquire()


def test_a_lock_ends_even_where_its_file_cannot_be_removed(locks: FileLocks, tmp_path: Path) -> None:
    lock = locks.lock("ann")
    lock.acquire()
    [path] = tmp_path.iterdir()
    path.unlink()
    path.mkdir()  # now unlink() fails, as it does on a file system that has become read-only
    before = descriptors()
    lock.release()
    assert descriptors() == before - 1


def test_a_lock_ends_with_the_process_that_holds_it(locks: FileLocks, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(MaildropInUse):
            locks.lock("ann").acquire()
        holder.kill()
        holder.wait()
    lock = locks.lock("ann")
    lock.acquire()
    lock.release()


def test_a_program_that_we_start_does_not_inherit_it(locks: FileLocks) -> None:
    lock = locks.lock("ann")
    lock.acquire()
    with subprocess.Popen(["sleep", "600"], close_fds=False) as child:
        lock.release()
        again = locks.lock("ann")
        again.acquire()
        again.release()
        child.kill()
