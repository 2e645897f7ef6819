"""A command in a script: no terminal, on standard input what it is given, and what it says as it says it."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.cli.pseudo_terminal import SECONDS, plain_environment

POLL_SECONDS = 0.02


class Script:
    """A text on standard input, and then its end; `output` and `errors` grow as they come."""

    def __init__(self, arguments: Sequence[str], said: str = "") -> None:
        self.errors = self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "gateway", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=plain_environment({}),
        )
        assert self._process.stdin
        self._process.stdin.write(said)
        self._process.stdin.close()
        self._readers = [threading.Thread(target=read) for read in (self._read_errors, self._read_output)]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self.end()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """On standard error."""
        end = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.errors)):
            assert self._readers[0].is_alive(), self.errors
            assert time.monotonic() < end, self.errors
            time.sleep(POLL_SECONDS)
        return found

    def end(self) -> int:
        """The exit status, when it has ended by itself."""
        status = self._process.wait(SECONDS)
        for reader in self._readers:
            reader.join()
        return status

    def told(self) -> Any:
        """The JSON on standard output."""
        assert self.end() == 0, self.errors
        return json.loads(self.output)

    def _read_errors(self) -> None:
        assert self._process.stderr
        with self._process.stderr as errors:
            for line in errors:
                self.errors += line

    def _read_output(self) -> None:
        assert self._process.stdout
        with self._process.stdout as output:
            self.output = output.read()
