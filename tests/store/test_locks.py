"""The maildrop lock: one holder at a time, and none that is dead."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.errors import MaildropInUse, StateError
from gateway.store import FileLocks

HOLDER = """
import sys, time
from pathlib import Path
from gateway.store import FileLocks
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


def test_a_second_session_does_not_get_the_maildrop(locks: FileLocks, tmp_path: Path) -> None:
    first = locks.lock("ann")
    first.acquire()
    for others in (locks, FileLocks(tmp_path)):
        with pytest.raises(MaildropInUse):
            others.lock("ann").acquire()
    first.release()


def test_nor_does_the_same_session_twice(locks: FileLocks) -> None:
    lock = locks.lock("ann")
    lock.acquire()
    with pytest.raises(MaildropInUse):
        lock.acquire()
    lock.release()
    locks.lock("ann").acquire()


def test_it_is_free_after_release(locks: FileLocks) -> None:
    for _ in range(3):
        lock = locks.lock("ann")
        lock.acquire()
        lock.release()


def test_release_may_be_said_twice_and_takes_nothing_from_the_next_holder(locks: FileLocks) -> None:
    first, second = locks.lock("ann"), locks.lock("ann")
    first.release()
    first.acquire()
    first.release()
    second.acquire()
    first.release()
    with pytest.raises(MaildropInUse):
        first.acquire()
    second.release()


def test_maildrops_do_not_get_in_each_others_way(locks: FileLocks) -> None:
    held = [locks.lock(key) for key in ("ann", "bob", "ann\0INBOX", "änn", "../ann", "")]
    for lock in held:
        lock.acquire()
    for lock in held:
        lock.release()


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


def test_many_threads_never_make_two_holders(locks: FileLocks) -> None:
    holders: list[int] = []
    most = [0] * 16
    got = [0] * 16
    begin = threading.Barrier(16)

    def hammer(number: int) -> None:
        begin.wait()
        for _ in range(400):
            lock = locks.lock("ann")
            try:
                lock.acquire()
            except MaildropInUse:
                continue
            holders.append(number)
            most[number] = max(most[number], len(holders))
            holders.remove(number)
            got[number] += 1
            lock.release()

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert sum(got) > 0
    locks.lock("ann").acquire()
