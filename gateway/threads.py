"""Crossing from the event loop into a thread that may block, and back."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from gateway.errors import Overloaded

_P = ParamSpec("_P")
_T = TypeVar("_T")

# A thread is held only while an upstream is awaited, never for a slow client; this many may be awaited at once.
THREADS = 128
QUEUE_SECONDS = 20.0  # to wait for a free one


class Threads:
    """A pool of its own, so that look-ups elsewhere never wait behind mail servers."""

    def __init__(self, most: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="imap")

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Raises Overloaded when no thread becomes free in time; whatever the function raises, else."""
        return await self.result(self.submit(function, *args, **kwargs))

    def submit(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> "Future[_T]":
        return self._pool.submit(function, *args, **kwargs)

    async def result(self, future: "Future[_T]") -> _T:
        """Of a submit(), as run() gives it."""
        # Does nothing to a function that has begun.
        patience = asyncio.get_running_loop().call_later(QUEUE_SECONDS, future.cancel)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                raise Overloaded(f"no thread was free for {QUEUE_SECONDS:.0f} s") from None
            raise
        finally:
            patience.cancel()

    def start(self, function: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Run it, and let nobody wait for it. It must not raise."""
        with contextlib.suppress(RuntimeError):  # the pool was stopped: the process is about to end
            self._pool.submit(function, *args, **kwargs)

    def stop(self) -> None:
        """What has not begun is not begun any more; what runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
