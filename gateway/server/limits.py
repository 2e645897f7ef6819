"""Who may connect: a bound in all, a bound for each address, and whom to drop when a bound is reached."""

from collections.abc import Iterator
from typing import Protocol

from gateway.errors import Overloaded
from gateway.networks import site_of
from gateway.server.census import Census, OwnCensus

_EVERYBODY = ""  # a site that all others are part of


class Guest(Protocol):
    """A connection, whatever it has come to so far."""

    @property
    def is_stranger(self) -> bool:
        """Not logged in, and no login of its own under way."""

    @property
    def is_wanted_elsewhere(self) -> bool:
        """Whether another session is to take over the maildrop."""

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing is under way, and has not been for so long (before a login: at all)."""

    def stop(self, why: str) -> None:
        """End it now, from outside."""

    def see_off(self, why: str) -> None:
        """End it when the client has what it was sent. Idempotent."""


class Connections:
    """All connections of this process.

    At a bound, strangers make room: the connection that has waited longest without logging in is dropped, so that
    a few hundred idle ones keep nobody out. Only when all are logged in is the newcomer refused. With several
    workers the census counts the connections of all, but only strangers of this one can make room: it has some
    for certain only where a bound is many times the number of workers.
    """

    def __init__(self, most: int, most_per_address: int, census: Census | None = None) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._sites: dict[Guest, tuple[str, ...]] = {}  # in the order they came
        self._census = census or OwnCensus()

    def __len__(self) -> int:
        return len(self._sites)

    def __iter__(self) -> Iterator[Guest]:
        return iter(tuple(self._sites))

    def add(self, guest: Guest, address: str | None) -> None:
        """Raises Overloaded. `address` None: a proxy's, and whose it is shows only later; it counts in all."""
        sites = (_EVERYBODY,) if address is None else (site_of(address), _EVERYBODY)
        for its_site in sites:
            most = self._most if its_site == _EVERYBODY else self._most_per_address
            if self._census.of(its_site) >= most and not self._make_room(its_site):
                raise Overloaded(f"{most} connections" + (f" from {its_site}" if its_site else ""))
        self._sites[guest] = sites
        for its_site in sites:
            self._census.add(its_site)

    def remove(self, guest: Guest) -> None:
        """Idempotent."""
        for its_site in self._sites.pop(guest, ()):
            self._census.remove(its_site)

    def _make_room(self, wanted: str) -> bool:
        for guest, sites in self._sites.items():
            if wanted in sites and guest.is_stranger:
                guest.stop("dropped to make room for another client")
                self.remove(guest)
                return True
        return False
