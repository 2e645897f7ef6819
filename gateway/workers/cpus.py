"""How many processes are worth having here: `workers: auto`."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

# More would be of use only to an installation that somebody watches, and who does can say a number.
AUTO_MOST = 16

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cpus(cgroups: Path = CGROUPS, own_cgroup: Path = OWN_CGROUP) -> int:
    """CPUs that this process may run on, no more than a container's quota (cgroup v2) pays for, and at most 16."""
    allowed = len(os.sched_getaffinity(0))
    quotas = (math.ceil(quota) for quota in _quotas(cgroups, own_cgroup))
    return max(min(allowed, AUTO_MOST, *quotas), 1)


def _quotas(cgroups: Path, own_cgroup: Path) -> Iterator[float]:
    """In CPUs: of our control group and of those above it, where there are any."""
    try:
        lines = own_cgroup.read_text().splitlines()
    except OSError:  # no Linux
        return
    # A line of cgroup v2 is `0::/path`; those of v1 have another number in front, and are not looked at.
    for own in (cgroups / line.removeprefix("0::/") for line in lines if line.startswith("0::/")):
        for folder in (own, *own.parents):
            if folder.is_relative_to(cgroups):
                yield from _quota(folder / "cpu.max")


def _quota(file: Path) -> Iterator[float]:
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = file.read_text().split()
        if quota != "max":
            yield int(quota) / int(period)
