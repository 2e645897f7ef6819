"""Several processes that serve the same ports."""

from gateway.workers.cpus import usable_cpus
from gateway.workers.share import Share
from gateway.workers.supervisor import Supervisor

__all__ = ["Share", "Supervisor", "usable_cpus"]
