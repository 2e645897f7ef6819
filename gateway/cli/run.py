"""Running a Gateway until somebody says stop."""

import asyncio
import contextlib
import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.app.gateway import Gateway, announce, preload, sites
from gateway.config import Settings
from gateway.server.sockets import reserve
from gateway.telemetry import Event, Log
from gateway.telemetry.events import Crashed, Stopped, WorkerStarted
from gateway.workers import Share, Supervisor, usable_cpus

_ENDING = (signal.SIGTERM, signal.SIGINT)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """An event loop around `main`."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def serve(settings: Settings) -> None:
    """With as many processes as the settings want; returns when they have ended. Raises GatewayError.

    SIGHUP looks at the certificate and ends nothing, not even before there is one to look at.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    log = Log(settings.log.level, settings.log.format)
    workers = usable_cpus() if settings.workers == "auto" else settings.workers
    if workers == 1:
        run(lambda: serve_until_stopped(settings, log.emit, _heed_hangups))
        return
    preload(settings)
    _loop_factory()  # loads uvloop
    reserved = reserve(sites(settings))
    work = functools.partial(_work, settings)
    supervisor = Supervisor(workers, reserved, work, settings.timeouts.shutdown, log.emit)
    supervisor.run(lambda: announce(settings, [reservation.site for reservation in reserved], log.emit))
    log.emit(Stopped())


def _work(settings: Settings, number: int, share: Share, ready: Callable[[], None]) -> None:
    """A worker's life."""
    log = Log(settings.log.level, settings.log.format, worker=number)

    def started(gateway: Gateway) -> None:
        _heed_hangups(gateway)
        log.emit(WorkerStarted(os.getpid()))
        ready()

    run(lambda: serve_until_stopped(settings, log.emit, started, share))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - where it does not install, asyncio's own loop serves
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def serve_until_stopped(
    settings: Settings,
    emit: Callable[[Event], None],
    started: Callable[[Gateway], None],
    share: Share | None = None,
) -> None:
    """SIGTERM, SIGINT or the end of the share's lifeline drains; a second signal does not wait for the drain."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: emit(_crashed(context)))

    def drain() -> None:
        stop.set()
        for number in _ENDING:
            loop.add_signal_handler(number, leave)

    for number in _ENDING:
        loop.add_signal_handler(number, drain)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)  # a worker begins with them blocked
    if share is not None and share.lifeline is not None:
        loop.add_reader(share.lifeline, _ended, share.lifeline, stop)
    gateway = Gateway(settings, emit, share)
    await gateway.start()
    started(gateway)
    await stop.wait()
    await gateway.stop()


def _heed_hangups(gateway: Gateway) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.reload_certificate)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # as above


def _ended(lifeline: int, stop: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(lifeline)  # it would be readable for ever
    stop.set()


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
