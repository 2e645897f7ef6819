"""HAProxy in front of a gateway: TCP goes through as it is, with a PROXY header before it."""

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.servers.fixtures import requires
from tests.servers.machine import POLL_SECONDS, ended, free_ports

START_SECONDS = 10.0
STOP_SECONDS = 10.0
ADDRESS = "127.0.0.1"  # where it listens, and where it comes from

_CONFIGURATION = """\
global
    maxconn 500
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    timeout check 5s
"""
_SITE = """\
listen to-{port}
    bind {address}:{own}
    {lines}
    server gateway {address}:{port} source {address} {options}
"""


class HAProxy:
    """`ports` has its own port for each of the gateway's. `options` are those of a server line, `lines` what else
    is to be said.
    """

    def __init__(self, *gateway_ports: int, options: str, lines: str = "") -> None:
        program = requires("haproxy", "haproxy")
        self.ports = dict(zip(gateway_ports, free_ports(ADDRESS, len(gateway_ports)), strict=True))
        sites = [
            _SITE.format(address=ADDRESS, own=own, port=port, options=options, lines=lines)
            for port, own in self.ports.items()
        ]
        self._folder = tempfile.TemporaryDirectory(prefix="haproxy-")
        configuration, self._output = Path(self._folder.name, "haproxy.cfg"), Path(self._folder.name, "output")
        configuration.write_text(_CONFIGURATION + "".join(sites))
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                [program, "-db", "-f", configuration], stdout=output, stderr=subprocess.STDOUT
            )
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._folder.cleanup()

    def _wait_until_it_listens(self) -> None:
        """Without a connection, which the gateway would see."""
        end = time.monotonic() + START_SECONDS
        while not all(port in _listening() for port in self.ports.values()):
            if ended(self._process) or time.monotonic() > end:
                raise RuntimeError(f"HAProxy did not start:\n{self._output.read_text(errors='replace')}")
            time.sleep(POLL_SECONDS)


def _listening() -> set[int]:
    """Ports of this machine where somebody listens over IPv4."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A"}


def own_address() -> str:
    """An address of this machine that is not loopback; "": it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("203.0.113.1", 9))  # nothing is sent
        except OSError:
            return ""
        address = str(sock.getsockname()[0])
    return "" if address.startswith("127.") else address
