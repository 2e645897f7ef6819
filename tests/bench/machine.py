"""What the figures were taken on."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from gateway import __version__
from tests.servers.machine import find_program


def describe() -> dict[str, str]:
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "gateway": f"pop3-gateway {__version__}{_commit()}",
        "peer": f"Dovecot {_dovecot()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "",
        "system": f"{_distribution()}, Linux {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": f"{os.getloadavg()[0]:.1f} before it began",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "") if Path("/etc/os-release").exists() else ""


def _dovecot() -> str:
    program = find_program("dovecot")
    return (
        subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()[0] if program else ""
    )


def _commit() -> str:
    """The last change of the gateway itself; a tarball knows none."""
    root = str(Path(__file__).parents[2])
    last = subprocess.run(
        ["git", "-C", root, "log", "-1", "--format=%h", "--", "gateway"], capture_output=True, text=True
    )
    if last.returncode or not last.stdout:
        return ""
    changed = subprocess.run(["git", "-C", root, "diff", "--quiet", "HEAD", "--", "gateway"]).returncode
    return f" ({last.stdout.strip()}{', changed' if changed else ''})"
