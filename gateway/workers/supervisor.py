"""The supervisor: it holds the ports, starts workers, and starts those again that died.

Workers are forked, and nothing is executed anew: a worker begins with the settings that were checked and the code
that was loaded, even where the files on disk have been replaced since; it shares the memory of that code with the
others, and is there in milliseconds. What makes a fork safe is that the supervisor does nothing else: it has no
thread, no event loop, no database and no session, only signals to wait for.
"""

import contextlib
import gc
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from gateway.errors import GatewayError, StateError
from gateway.server.census import SharedCensus
from gateway.server.sockets import Reservation
from gateway.telemetry.events import Crashed, Event, WorkerDied
from gateway.workers.share import Share

STEADY_SECONDS = 10.0  # a worker that lived for less died at once
FIRST_PAUSE_SECONDS = 0.5  # before one that died at once is started again, doubled each time
LONGEST_PAUSE_SECONDS = 30.0
SPARE_SECONDS = 5.0  # for a worker to end, beyond its own limit; then it is killed

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
_WATCHED = _ENDING | {signal.SIGCHLD, signal.SIGHUP}
_READY = b"+"  # a worker's report; another one is the pickled error that kept it from starting

# What a worker is to do: serve its share until that says stop, and call the last argument once it does serve.
# Before that it may raise GatewayError. SIGTERM, SIGINT and SIGHUP are blocked when it begins.
Work = Callable[[int, Share, Callable[[], None]], None]


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int = 0  # 0: it does not run
    report: int | None = None  # the end of a pipe
    began: float = 0.0
    due: float = 0.0  # when it is to be started
    pause: float = 0.0  # seconds before it was started

    def lengthen_pause(self, lived: float) -> None:
        """For the next start: none after a steady life, and longer and longer ones while it dies at once."""
        if lived >= STEADY_SECONDS:
            self.pause = 0.0
        else:
            self.pause = min(max(2 * self.pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    def read_report(self) -> bytes:
        """All of it: until the worker serves, or is dead. Empty the second time."""
        if self.report is None:
            return b""
        with os.fdopen(self.report, "rb") as report:
            self.report = None
            return report.read()


class Supervisor:
    """run() until SIGTERM or SIGINT: the first drains the workers, the second ends them at once.

    SIGHUP is passed on to them.
    """

    def __init__(
        self,
        workers: int,
        reserved: Sequence[Reservation],
        work: Work,
        seconds_to_drain: float,
        emit: Callable[[Event], None],
    ) -> None:
        self._workers = [_Worker(number) for number in range(1, workers + 1)]
        self._reserved = reserved
        self._work = work
        self._seconds_to_drain = seconds_to_drain
        self._emit = emit
        self._census = SharedCensus(workers)
        # Workers drain when it ends: it was closed here, or the supervisor is gone, be it by kill -9. A signal
        # would not do: a service manager or a terminal sends its own to all of us, and the second means "at once".
        self._lifeline, self._lifeline_end = os.pipe()
        self._stop_by: float | None = None

    def run(self, ready: Callable[[], None]) -> None:
        """Returns when all workers have ended. Raises the GatewayError that kept the first one from starting.

        The first one starts alone, and `ready` is called when it serves: it makes what the state folder does not
        have yet, and what is wrong is told once.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        for number in (signal.SIGCHLD, signal.SIGHUP):  # one that is ignored may never be seen
            signal.signal(number, signal.SIG_DFL)
        gc.collect()
        gc.freeze()  # a worker's collector would write to every object, and no page would stay shared
        first, *others = self._workers
        self._fork(first)
        self._wait_until_ready(first)
        ready()
        for worker in others:
            self._start(worker)
        self._bury_the_dead()  # some may have died before anybody watched
        while self._stop_by is None or any(worker.pid for worker in self._workers):
            self._start_who_is_due()
            self._heed(signal.sigtimedwait(_WATCHED, self._patience()))
            self._bury_the_dead()

    def _wait_until_ready(self, first: _Worker) -> None:
        report = first.read_report()
        if report != _READY:
            _, status = os.waitpid(first.pid, 0)
            raise _error(report) or StateError(f"the first worker ended before it served: {_how(status)}")

    def _patience(self) -> float:
        """Seconds until there is something to do, whatever signal comes."""
        dues = (
            [worker.due for worker in self._workers if not worker.pid]
            if self._stop_by is None
            else [self._stop_by]
        )
        seconds = min(dues, default=float("inf")) - time.monotonic()
        return min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)

    # Starting

    def _start_who_is_due(self) -> None:
        for worker in self._workers:
            if self._stop_by is None and not worker.pid and worker.due <= time.monotonic():
                self._start(worker)

    def _start(self, worker: _Worker) -> None:
        try:
            self._fork(worker)
        except StateError as error:
            self._died(worker, str(error))

    def _fork(self, worker: _Worker) -> None:
        """Raises StateError: the system has no more processes, or descriptors."""
        worker.began = time.monotonic()
        try:
            worker.report, report = os.pipe()
            try:
                worker.pid = os.fork()
                if not worker.pid:
                    self._become(worker, report)
            finally:
                os.close(report)
        except OSError as error:
            raise StateError(f"no process can be started: {error.strerror}") from error

    def _become(self, worker: _Worker, report: int) -> NoReturn:
        """The worker's life. Whatever happens in it, it never gets back to where the supervisor goes on."""
        status = 1
        try:
            os.close(self._lifeline_end)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            self._work(worker.number, self._share(worker), lambda: _tell(report, _READY))
            status = 0
        except GatewayError as error:
            _tell(report, pickle.dumps(error))
        except BaseException as error:
            self._emit(Crashed(repr(error), traceback.format_exc()))
        finally:
            os._exit(status)

    def _share(self, worker: _Worker) -> Share:
        """Sockets of its own are what a worker takes along when it dies: the system spreads no more connections to
        them. Those that waited there unaccepted are reset; their clients try again, as they do after any restart.
        """
        sockets = tuple(reservation.listen() for reservation in self._reserved)
        for reservation in self._reserved:
            reservation.close()  # it is the supervisor's: a draining worker must not hold a port
        page, most = self._census.page(worker.number), len(self._workers)
        return Share(page, sockets, self._lifeline, worker.number, most)

    # Ending

    def _heed(self, received: signal.struct_siginfo | None) -> None:
        if received is not None and received.si_signo == signal.SIGHUP:
            self._send(signal.SIGHUP)
        elif received is not None and received.si_signo in _ENDING:
            if self._stop_by is None:
                self._stop()
            else:
                self._kill()
        elif self._stop_by is not None and time.monotonic() >= self._stop_by:
            self._kill()

    def _stop(self) -> None:
        self._stop_by = time.monotonic() + self._seconds_to_drain + SPARE_SECONDS
        for reservation in self._reserved:
            reservation.close()
        os.close(self._lifeline_end)

    def _kill(self) -> None:
        self._stop_by = float("inf")
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)

    def _bury_the_dead(self) -> None:
        """Of process 1 in a container that is everybody's orphans, too."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                for worker in self._workers:
                    if worker.pid == found[0]:
                        self._died(worker, _how(found[1]))

    def _died(self, worker: _Worker, how: str) -> None:
        pid, worker.pid = worker.pid, 0
        self._census.wipe(worker.number)
        report = worker.read_report()
        if self._stop_by is not None:
            return
        now = time.monotonic()
        lived = now - worker.began
        worker.lengthen_pause(lived)
        worker.due = now + worker.pause
        self._emit(WorkerDied(worker.number, pid, str(_error(report) or how), round(lived, 3), worker.pause))


def _tell(report: int, what: bytes) -> None:
    with contextlib.suppress(OSError), os.fdopen(report, "wb") as pipe:
        pipe.write(what)


def _error(report: bytes) -> GatewayError | None:
    if report in (b"", _READY):
        return None
    error = pickle.loads(report)  # noqa: S301 - our own fork wrote it
    assert isinstance(error, GatewayError)  # noqa: S101 - nothing else is pickled
    return error


def _how(status: int) -> str:
    """What waitpid() told, in words."""
    code = os.waitstatus_to_exitcode(status)
    names = {member.value: member.name for member in signal.Signals}  # some of real time have none
    return f"exit status {code}" if code >= 0 else f"killed by {names.get(-code, f'signal {-code}')}"
