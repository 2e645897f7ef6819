"""What a server in a test needs of this machine: its program, processes, ports, and a place for its files."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 0.005
SHARED_MEMORY_OCTETS = 2**30


def find_program(name: str) -> str | None:
    """The program's path; a server's folder is seldom in an ordinary user's PATH."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin")))


def processes(group: int) -> set[int]:
    """The process group's members that still run, zombies left out."""
    found = set()
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            text = Path("/proc", number, "stat").read_text()
        except OSError:
            continue  # ended in the meantime
        state, _, its_group = text.rpartition(")")[2].split()[:3]
        if int(its_group) == group and state != "Z":
            found.add(int(number))
    return found


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has; it is left a zombie, so that nobody else can get its number."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def free_ports(address: str, count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((address, 0))
        return [one.getsockname()[1] for one in sockets]


def is_taken(address: str, port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError:
            return True
    return False


def fastest_place() -> Path | None:
    """In memory, where there is room: thousands of small files take a disk ten times as long."""
    place = Path("/dev/shm")
    if not place.is_dir() or not os.access(place, os.W_OK):
        return None
    return place if shutil.disk_usage(place).free > SHARED_MEMORY_OCTETS else None
