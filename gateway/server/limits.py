"""Who may connect: a bound in all, a bound for each address, and whom to drop when a bound is reached."""

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from gateway.errors import Overloaded
from gateway.server.census import Census, OwnCensus
from gateway.server.conversation import Conversation

_EVERYBODY = ""  # a site that all others are part of
IPV6_SITE_BITS = 64  # one customer has so many addresses to come from


class Connections:
    """All conversations of this process.

    At a bound, strangers make room: the connection that has waited longest without logging in is dropped, so that
    a few hundred idle ones keep nobody out. Only when all are logged in is the newcomer refused. With several
    workers the census counts the connections of all, but only strangers of this one can make room: it has some
    for certain only where a bound is many times the number of workers.
    """

    def __init__(self, most: int, most_per_address: int, census: Census | None = None) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._from: dict[Conversation, str] = {}  # in the order they came
        self._census = census or OwnCensus()

    def __len__(self) -> int:
        return len(self._from)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(tuple(self._from))

    def add(self, conversation: Conversation, address: str) -> None:
        """Raises Overloaded."""
        site = _site(address)
        if self._census.of(site) >= self._most_per_address and not self._make_room(site):
            raise Overloaded(f"{self._most_per_address} connections from {site}")
        if self._census.of(_EVERYBODY) >= self._most and not self._make_room(None):
            raise Overloaded(f"{self._most} connections")
        self._from[conversation] = site
        self._census.add(site)
        self._census.add(_EVERYBODY)

    def remove(self, conversation: Conversation) -> None:
        """Idempotent."""
        site = self._from.pop(conversation, None)
        if site is not None:
            self._census.remove(site)
            self._census.remove(_EVERYBODY)

    def _make_room(self, site: str | None) -> bool:
        for conversation, its_site in self._from.items():
            if site in (None, its_site) and conversation.session.is_stranger:
                conversation.stop("dropped to make room for another client")
                self.remove(conversation)
                return True
        return False


def _site(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> (128 - IPV6_SITE_BITS) << (128 - IPV6_SITE_BITS))}/{IPV6_SITE_BITS}"
