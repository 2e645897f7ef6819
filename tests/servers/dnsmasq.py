"""dnsmasq: a name server with the records that a test wants, and no others."""

import contextlib
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.servers.fixtures import requires
from tests.servers.machine import POLL_SECONDS, ended, free_ports, wait

ADDRESS = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 10.0
# A header, the root's name, type NS, class IN.
_QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"


class Dnsmasq:
    """`lines` are of its configuration: srv-host=_imaps._tcp.example.org,host,port,priority,weight."""

    def __init__(self, *lines: str) -> None:
        self._program = requires("dnsmasq", "dnsmasq-base")
        [self.port] = free_ports(ADDRESS, 1)
        self.server = f"{ADDRESS}:{self.port}"
        self._folder = tempfile.TemporaryDirectory(prefix="dnsmasq-")
        self._log = Path(self._folder.name, "log")
        self._configuration = Path(self._folder.name, "dnsmasq.conf")
        self._configuration.write_text("".join(f"{line}\n" for line in lines))
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def questions(self) -> list[str]:
        """What it was asked, as it logs it: `query[SRV] _imaps._tcp.example.org`."""
        lines = self._log.read_text().splitlines()
        found = [line.partition(": ")[2].rpartition(" from ")[0] for line in lines if "query[" in line]
        return [question for question in found if "query[NS]" not in question]

    def wait_for_questions(self, count: int) -> None:
        assert wait(lambda: len(self.questions) >= count, START_SECONDS), self._log.read_text()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._folder.cleanup()

    def _start(self) -> subprocess.Popen[bytes]:
        options = [
            *("--keep-in-foreground", f"--conf-file={self._configuration}", f"--log-facility={self._log}"),
            *(f"--port={self.port}", f"--listen-address={ADDRESS}", "--bind-interfaces", "--log-queries"),
            *("--no-resolv", "--no-hosts", "--user=root", "--pid-file"),
        ]
        process = subprocess.Popen([self._program, *options], stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if ended(process) or time.monotonic() > end:
                process.kill()
                process.wait()
                raise RuntimeError(f"dnsmasq did not start: {self._log.read_text() if self._log.exists() else ''}")
            time.sleep(POLL_SECONDS)
        return process

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect((ADDRESS, self.port))
            sock.send(_QUESTION)
            return bool(sock.recv(512))
        return False
