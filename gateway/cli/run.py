"""Running a Gateway until somebody says stop."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.app import Gateway
from gateway.config import Settings
from gateway.telemetry import Event


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """An event loop around `main`."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - where it does not install, asyncio's own loop serves
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def serve_until_stopped(
    settings: Settings, emit: Callable[[Event], None], started: Callable[[Gateway], None]
) -> None:
    """SIGTERM or SIGINT drains; the second one does not wait for the drain."""
    gateway = Gateway(settings, emit)
    await gateway.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    started(gateway)
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    await gateway.stop()


def leave() -> None:
    """Exit now, 0: threads that still wait for a silent mail server are not waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(0)
