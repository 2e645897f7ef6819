"""What one process has of the gateway."""

import socket
from dataclasses import dataclass, field

from gateway.server.census import Census, OwnCensus


@dataclass(frozen=True, slots=True)
class Share:
    """All of it, unless it says otherwise."""

    census: Census = field(default_factory=OwnCensus)
    # Listening, for each listener of the settings; without them the gateway opens its own.
    sockets: tuple[list[socket.socket], ...] = ()
    # A pipe that ends when this process is to stop: the supervisor closed it, or is gone, however it went.
    lifeline: int | None = None
    worker: int = 0  # which of so many
    workers: int = 1
