"""Where clients connect: listening sockets for one process, or for several on the same ports."""

import contextlib
import dataclasses
import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gateway.errors import CannotListen, GatewayError, SettingsError

BACKLOG = 1024  # connections that the system holds for us while we are busy

# Whether another start may do better, and what else may be done.
_ADVICE: dict[int, tuple[type[GatewayError], str]] = {
    errno.EADDRINUSE: (CannotListen, "; another program listens there: end it, or choose another port"),
    errno.EADDRNOTAVAIL: (
        CannotListen,
        "; no network interface has this address: 0.0.0.0 and [::] are all of them",
    ),
    errno.EACCES: (SettingsError, "; ports under 1024 need root or CAP_NET_BIND_SERVICE"),
}

_Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Site:
    """What one listener is."""

    host: str
    port: int
    implicit_tls: bool
    protocol: str = "pop3"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def scheme(self) -> str:
        return f"{self.protocol}{'s' if self.implicit_tls else ''}"

    def at(self, sock: socket.socket) -> "Site":
        """With the port that the system chose, where it was to choose one."""
        return dataclasses.replace(self, port=sock.getsockname()[1])


def listen(site: Site) -> list[socket.socket]:
    """For a gateway of one process: a socket for each address that the host has here.

    Raises CannotListen, and SettingsError where that will not change.
    """
    with _explained(site):
        return _all(_listening, _addresses(site))


class Reservation:
    """A site's port, held for several processes: nobody else can listen there, even while none of them does.

    listen() gives each process sockets of its own, and the system spreads the connections over them
    (SO_REUSEPORT).
    """

    def __init__(self, site: Site) -> None:
        """Raises as listen() does, where anybody listens: another gateway of several processes, too."""
        with _explained(site):
            self._held = _all(_held, _addresses(site))
        self.site = site.at(self._held[0])

    def listen(self) -> list[socket.socket]:
        """Raises as listen() does: the system may have no more sockets."""
        with _explained(self.site):
            return _all(_listening_beside_others, [(held.family, held.getsockname()[:2]) for held in self._held])

    def close(self) -> None:
        close(self._held)


def reserve(sites: Iterable[Site]) -> list[Reservation]:
    """All or none of them. Raises as listen() does."""
    made: list[Reservation] = []
    try:
        for site in sites:
            made.append(Reservation(site))  # noqa: PERF401 - what was made is closed again when the next one fails
    except BaseException:
        for reservation in made:
            reservation.close()
        raise
    return made


def close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _addresses(site: Site) -> Iterable[tuple[int, _Address]]:
    found = socket.getaddrinfo(site.host, site.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return dict.fromkeys((int(family), (str(address[0]), int(address[1]))) for family, *_, address in found)


def _all(
    make: Callable[[int, _Address], socket.socket], addresses: Iterable[tuple[int, _Address]]
) -> list[socket.socket]:
    """One for each address, or none. Raises OSError."""
    made: list[socket.socket] = []
    try:
        for family, address in addresses:
            made.append(make(family, address))
            made[-1].setblocking(False)
    except BaseException:
        close(made)
        raise
    return made


# IPv6 sockets take IPv6 only, so that 0.0.0.0 and [::] can both be listed: create_server() sees to that.


def _listening(family: int, address: _Address) -> socket.socket:
    return socket.create_server(address, family=family, backlog=BACKLOG)


def _listening_beside_others(family: int, address: _Address) -> socket.socket:
    return socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=True)


def _held(family: int, address: _Address) -> socket.socket:
    """Bound and not listening. The order of the options makes it a reservation.

    SO_REUSEADDR alone for the bind: connections of an earlier gateway that have not quite ended are no obstacle,
    and a port where anybody listens is in use. With SO_REUSEPORT it would not be, for this user's gateways.
    SO_REUSEPORT alone from then on: only the same user's sockets that have it, too, may join.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _explained(site: Site) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        raise SettingsError(f"cannot listen on {site}: that is no host name") from None
    except OSError as error:
        kind, advice = _ADVICE.get(error.errno or 0, (CannotListen, ""))
        why = (error.strerror or str(error)).partition(" (while")[0]  # socket adds the address again
        raise kind(f"cannot listen on {site}: {why}{advice}") from error
