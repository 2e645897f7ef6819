"""The maildrop lock of every state: one holder at a time, whoever shares the state."""

import threading
import time

import pytest

from gateway.errors import MaildropInUse
from gateway.ports import LockMode, Locks, MaildropLock
from gateway.store import State
from tests.store.conftest import OpenState, Place

PATIENCE_SECONDS = 10.0


@pytest.fixture
def locks(state: State) -> Locks:
    return state.locks()


def test_a_second_session_does_not_get_the_maildrop(locks: Locks, start_state: OpenState) -> None:
    first = locks.lock("ann")
    first.acquire()
    for others in (locks, start_state().locks()):
        with pytest.raises(MaildropInUse):
            others.lock("ann").acquire()
    first.release()


def test_nor_does_the_same_session_twice(locks: Locks) -> None:
    lock = locks.lock("ann")
    lock.acquire()
    with pytest.raises(MaildropInUse):
        lock.acquire()
    lock.release()
    locks.lock("ann").acquire()


def test_it_is_free_after_release(locks: Locks) -> None:
    for _ in range(3):
        lock = locks.lock("ann")
        lock.acquire()
        lock.release()


def test_release_may_be_said_twice_and_takes_nothing_from_the_next_holder(locks: Locks) -> None:
    first, second = locks.lock("ann"), locks.lock("ann")
    first.release()
    first.acquire()
    first.release()
    second.acquire()
    first.release()
    with pytest.raises(MaildropInUse):
        first.acquire()
    second.release()


def test_maildrops_do_not_get_in_each_others_way(locks: Locks) -> None:
    held = [locks.lock(key) for key in ("ann", "bob", "ann\0INBOX", "änn", "../ann", "")]
    for lock in held:
        lock.acquire()
    for lock in held:
        lock.release()


def test_many_threads_never_make_two_holders(locks: Locks, place: Place) -> None:
    holders: list[int] = []
    most = [0] * 16
    got = [0] * 16
    begin = threading.Barrier(16)
    rounds = 40 if place.url else 400

    def hammer(number: int) -> None:
        begin.wait()
        for _ in range(rounds):
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


def test_what_is_released_here_is_free_elsewhere(state: State, start_state: OpenState) -> None:
    here, there = (owner.locks(patience=PATIENCE_SECONDS) for owner in (state, start_state()))
    for _ in range(2):
        first, second = here.lock("ann"), there.lock("ann")
        first.acquire()
        first.release()
        second.acquire()
        second.release()


def test_nobody_is_asked_to_end_where_the_first_session_stays(locks: Locks, start_state: OpenState) -> None:
    first = locks.lock("ann")
    first.acquire()
    with pytest.raises(MaildropInUse):
        start_state().locks(patience=1).lock("ann").acquire()
    assert not first.is_wanted
    first.release()


def test_in_takeover_the_first_session_learns_that_it_is_to_end(start_state: OpenState) -> None:
    one, other = (start_state().locks(LockMode.TAKEOVER) for _ in range(2))
    first, second, unconcerned = one.lock("ann"), other.lock("ann"), one.lock("bob")
    first.acquire()
    unconcerned.acquire()
    heir = threading.Thread(target=second.acquire)
    heir.start()
    wait_until_wanted(first)
    assert not unconcerned.is_wanted
    first.release()
    heir.join()
    with pytest.raises(MaildropInUse):
        start_state().locks().lock("ann").acquire()
    time.sleep(1)
    assert not second.is_wanted


def test_side_by_side_nobody_waits(state: State, start_state: OpenState) -> None:
    sessions = [owner.locks(LockMode.SHARED).lock("ann") for owner in (state, state, start_state())]
    for session in sessions:
        session.acquire()
    assert not any(session.is_wanted for session in sessions)
    for session in sessions:
        session.release()


def wait_until_wanted(lock: MaildropLock) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not lock.is_wanted:
        assert time.monotonic() < end
        time.sleep(0.01)
