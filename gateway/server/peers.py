"""Who is at the other end of a connection: a client, or a proxy that says for whom it comes."""

from collections.abc import Sequence

from gateway.networks import Network, is_loopback, is_within
from gateway.ports import Peer
from gateway.server.proxy import BadHeader, Header


def direct(address: str) -> Peer:
    """Who comes to us without a proxy."""
    return Peer(address, is_loopback(address))


class Proxies:
    """Whom a listener believes for whom they come."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)

    def may_speak(self, address: str) -> bool:
        """A proxy, or somebody on this machine who asks whether we live, and names nobody."""
        return self._trusts(address) or is_loopback(address)

    def client(self, header: Header, proxy: str) -> Peer:
        """Raises BadHeader.

        A client is on loopback only where the proxy is, too: a password in clear crosses no network then. Of one
        that the proxy cannot name nobody knows that.
        """
        if header.is_local:
            return direct(proxy)
        if not header.address:
            return Peer(proxy)
        if not self._trusts(proxy):
            raise BadHeader("it names a client, and is no proxy of ours")
        return Peer(header.address, is_loopback(header.address) and is_loopback(proxy))

    def _trusts(self, address: str) -> bool:
        return is_within(address, self._networks)
