"""A command at a terminal, as a person has it: what it shows, what is typed, and Ctrl-C."""

import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

SECONDS = 30.0  # until something that is waited for is there
STEP_SECONDS = 0.1  # between two looks whether it still runs
COLUMNS, ROWS = 100, 40
INTERRUPT = "\x03"

# The kernel turns Ctrl-C into a signal for whom the terminal controls: take it for that first. What runs the tests
# in its background may have left us to ignore that signal, and whoever we start.
_TAKE_TERMINAL = (
    "import fcntl, os, signal, sys, termios; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """`arguments` of `pop3-gateway`, or with `python` of Python. Standard output goes to the terminal, too."""

    def __init__(
        self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None, python: bool = False
    ) -> None:
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
        self._terminal = ours
        self.seen = ""  # all that was shown, as it came
        command = [sys.executable, "-W", "error", *([] if python else ["-m", "gateway"]), *arguments]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=plain_environment(environment or {}),
        )
        self._theirs = theirs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._theirs)
        os.close(self._terminal)

    @property
    def text(self) -> str:
        """What was shown, without colours."""
        return _CONTROL.sub("", self.seen)

    @property
    def shows_what_is_typed(self) -> bool:
        flags: int = termios.tcgetattr(self._theirs)[3]
        return bool(flags & termios.ECHO)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Until it is shown."""
        end = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.text)):
            over = self._process.poll() is not None or time.monotonic() > end
            if not self._read(time.monotonic() + (0 if over else STEP_SECONDS)):
                assert not over, f"no {pattern!r} in what is shown:\n{self.text}"
        return found

    def type(self, text: str) -> None:
        octets = text.encode()
        while octets:
            octets = octets[os.write(self._terminal, octets[:1024]) :]

    def interrupt(self) -> None:
        self.type(INTERRUPT)

    def end(self) -> int:
        """The exit status, when it has ended by itself. pytest shows what was shown where a test fails."""
        end = time.monotonic() + SECONDS
        while self._process.poll() is None:
            self._read(time.monotonic() + STEP_SECONDS)
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
        while self._read(time.monotonic()):
            pass
        sys.stdout.write(self.text)
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self, until: float) -> bool:
        if not select.select([self._terminal], [], [], max(0.0, until - time.monotonic()))[0]:
            return False
        self.seen += os.read(self._terminal, 65536).decode(errors="replace")
        return True


def plain_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Ours without what says where we are and what is at hand here."""
    ignored = (
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "BROWSER",
        "SSH_CONNECTION",
        "SSH_TTY",
        "NO_COLOR",
        "COLUMNS",
        "LINES",
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ignored and not name.startswith("POP3_GATEWAY_")
    }
    return kept | {"TERM": "xterm-256color", "LANG": "C.UTF-8"} | dict(own)
