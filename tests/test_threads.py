"""The pool of threads that may block."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from gateway import threads as module
from gateway.errors import Overloaded
from gateway.threads import Threads


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(1)
    yield made
    made._pool.shutdown(wait=True)


@pytest.fixture
def released(threads: Threads) -> Iterator[threading.Event]:
    """The only thread is busy until this is set."""
    event = threading.Event()
    threads.start(event.wait)
    yield event
    event.set()


async def test_a_result_and_an_error_come_back(threads: Threads) -> None:
    assert await threads.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 7, 0)


async def test_the_event_loop_goes_on_meanwhile(threads: Threads) -> None:
    event = threading.Event()
    waiting = asyncio.create_task(threads.run(event.wait))
    await asyncio.sleep(0)
    assert not waiting.done()
    event.set()
    assert await waiting


async def test_who_gets_no_thread_in_time_is_told_that_it_is_too_much(
    threads: Threads, released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_SECONDS", 0.05)
    ran = threading.Event()
    with pytest.raises(Overloaded):
        await threads.run(ran.set)
    released.set()
    await threads.run(lambda: None)
    assert not ran.is_set()


async def test_a_function_that_has_begun_is_not_cut_short_by_that(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_SECONDS", 0.02)
    event = threading.Event()
    assert not await threads.run(event.wait, 0.2)


async def test_a_task_that_is_cancelled_is_cancelled_and_not_overloaded(
    threads: Threads, released: threading.Event
) -> None:
    ran = threading.Event()
    task = asyncio.create_task(threads.run(ran.set))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    released.set()
    await threads.run(lambda: None)
    assert not ran.is_set()


async def test_after_stop_nothing_begins_any_more(threads: Threads, released: threading.Event) -> None:
    ran = threading.Event()
    threads.start(ran.set)
    threads.stop()
    released.set()
    threads._pool.shutdown(wait=True)
    assert not ran.is_set()


async def test_a_farewell_after_stop_is_no_error(threads: Threads) -> None:
    threads.stop()
    threads.start(lambda: None)
