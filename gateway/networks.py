"""Where clients come from: this machine, a network, or what limits take for one place."""

import functools
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MAPPED_BITS = 96  # before an IPv4 address in IPv6's form: ::ffff:0:0/96
IPV6_SITE_BITS = 64  # one customer has so many addresses to come from
REMEMBERED = 4096  # addresses: clients come back

Network = IPv4Network | IPv6Network


@functools.lru_cache(REMEMBERED)
def site_of(address: str) -> str:
    """What counts as one place: 192.0.2.1, or 2001:db8:1:2::/64. What is no address stays what it is."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return f"{IPv6Address(int(parsed) >> (128 - IPV6_SITE_BITS) << (128 - IPV6_SITE_BITS))}/{IPV6_SITE_BITS}"
    return address if parsed is None else str(parsed)


def network_of(text: str) -> Network:
    """Like 192.0.2.0/24; one of IPv4 in IPv6's form is that of IPv4, as addresses are here. Raises ValueError."""
    parsed = ip_network(text)
    mapped = getattr(parsed.network_address, "ipv4_mapped", None)
    if mapped is None or parsed.prefixlen < MAPPED_BITS:
        return parsed
    return IPv4Network((mapped, parsed.prefixlen - MAPPED_BITS))


def is_within(address: str, networks: Iterable[Network]) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def is_loopback(address: str) -> bool:
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 address in IPv6's form is that IPv4 address: a socket for both has it so."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
