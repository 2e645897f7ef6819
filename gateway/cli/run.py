"""Running a Gateway until somebody says stop."""

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.app import Gateway
from gateway.config import Settings
from gateway.telemetry import Event
from gateway.telemetry.events import Crashed


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
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: emit(_crashed(context)))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(settings, emit)
    await gateway.start()
    started(gateway)
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    await gateway.stop()


def _crashed(context: dict[str, Any]) -> Crashed:
    """What the event loop could tell nobody else."""
    error = context.get("exception")
    trace = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else ""
    return Crashed(f"{context.get('message')}: {error!r}", trace)


def leave() -> None:
    """Exit now, 0: threads that still wait for a silent mail server are not waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(0)
