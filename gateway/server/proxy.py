"""The header of the PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt has them. Pure.

Section numbers below are that document's. What a version 2 header has besides addresses is skipped: its checksum
(TCP has one of its own), and what a proxy that ends TLS tells of it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

V1_OCTETS = 107  # section 2.1: the longest line, CRLF included
V2_FIXED_OCTETS = 16  # section 2.2: what every header of version 2 begins with
V2_MORE_OCTETS = 4096  # addresses have 216 at most, and what is told besides some hundred; nginx takes as much
MOST_OCTETS = V2_FIXED_OCTETS + V2_MORE_OCTETS

_V1_BEGIN = b"PROXY "
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\0\0\0"  # what who comes for himself says


class BadHeader(Exception):
    """No header is here, or none that can be understood; `str()` says why, and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Header:
    """For whom a proxy comes."""

    address: str = ""  # the client's; "": it has none, or the proxy does not know it
    is_local: bool = False  # the proxy comes for itself, to see whether we live


class HeaderReader:
    """receive() what came until there is a `header`. What is behind it belongs to TLS, or to POP3."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self._held = bytearray()

    def receive(self, octets: bytes) -> int:
        """How many of them, from the first on, are the header's: all, as long as it is not whole.

        Raises BadHeader as soon as it is known to be none.
        """
        before = len(self._held)
        self._held += octets
        length = _length(bytes(self._held[:MOST_OCTETS]))
        if length is None or length > len(self._held):
            return len(octets)
        whole = bytes(self._held[:length])
        self.header = _v2(whole) if whole.startswith(SIGNATURE) else _v1(whole)
        return length - before


def _length(begun: bytes) -> int | None:
    """Of the whole header; None: that is not yet known. Raises BadHeader."""
    if begun[: len(SIGNATURE)] == SIGNATURE[: len(begun)]:
        if len(begun) < V2_FIXED_OCTETS:
            return None
        more = int.from_bytes(begun[14:16])
        if more > V2_MORE_OCTETS:
            raise BadHeader(f"a header may have {V2_MORE_OCTETS} octets behind the first {V2_FIXED_OCTETS}")
        return V2_FIXED_OCTETS + more
    if begun[: len(_V1_BEGIN)] != _V1_BEGIN[: len(begun)]:
        raise BadHeader("the connection does not begin with a PROXY header")
    end = begun.find(b"\r\n", 0, V1_OCTETS)
    if end < 0 and len(begun) >= V1_OCTETS:
        raise BadHeader(f"a header of version 1 ends within {V1_OCTETS} octets")
    return None if end < 0 else end + 2


# Version 1

_PORT = r"(?:0|[1-9]\d{0,4})"
_V1_LINES: tuple[tuple["re.Pattern[str]", Callable[[str], IPv4Address | IPv6Address]], ...] = (
    (re.compile(rf"TCP4 ([\d.]+) ([\d.]+) ({_PORT}) ({_PORT})", re.ASCII), IPv4Address),
    (re.compile(rf"TCP6 ([\da-fA-F:.]+) ([\da-fA-F:.]+) ({_PORT}) ({_PORT})", re.ASCII), IPv6Address),
)
_V1_UNKNOWN = re.compile(r"UNKNOWN(?: .*)?", re.DOTALL)
_MOST_PORT = 65_535


def _v1(line: bytes) -> Header:
    text = line[len(_V1_BEGIN) : -2].decode("latin-1")
    if _V1_UNKNOWN.fullmatch(text):
        return Header()
    for form, address in _V1_LINES:
        if found := form.fullmatch(text):
            try:
                source, _ = map(address, found.groups()[:2])
            except ValueError:
                break
            if max(map(int, found.groups()[2:])) <= _MOST_PORT:
                return Header(_shown(source))
    raise BadHeader("a header of version 1 that is not as the protocol has it")


# Version 2


@dataclass(frozen=True, slots=True)
class _Family:
    """Of addresses: how many octets both ends' have, with their ports, and what the client's is made of."""

    octets: int
    source: int = 0
    address: Callable[[bytes], IPv4Address | IPv6Address] | None = None


_IPV4, _IPV6 = _Family(12, 4, IPv4Address), _Family(36, 16, IPv6Address)
_UNIX = _Family(216)  # its addresses are paths, on the proxy's machine
_UNKNOWN = _Family(0)
# By the fourteenth octet. Others that are valid, and say no more than that something is unspecified, are unknown.
_FAMILIES = {0x11: _IPV4, 0x12: _IPV4, 0x21: _IPV6, 0x22: _IPV6, 0x31: _UNIX, 0x32: _UNIX}
_MOST_FAMILY, _MOST_TRANSPORT = 3, 2
_FOR_ITSELF, _FOR_A_CLIENT = 0x20, 0x21  # version and command


def _v2(whole: bytes) -> Header:
    command, kind = whole[12], whole[13]
    if command == _FOR_ITSELF:
        return Header(is_local=True)  # whatever else it says
    if command != _FOR_A_CLIENT:
        raise BadHeader("a header of another version than 1 and 2, or with an unknown command")
    if kind >> 4 > _MOST_FAMILY or kind & 15 > _MOST_TRANSPORT:
        raise BadHeader("a header with an unknown family of addresses")
    family = _FAMILIES.get(kind, _UNKNOWN)
    addresses = whole[V2_FIXED_OCTETS : V2_FIXED_OCTETS + family.octets]
    if len(addresses) < family.octets:
        raise BadHeader("a header too short for its addresses")
    return Header(_shown(family.address(addresses[: family.source])) if family.address else "")


def _shown(address: IPv4Address | IPv6Address) -> str:
    """As if the client had come to us: an IPv4 address within IPv6 is the proxy's way to listen."""
    return str(getattr(address, "ipv4_mapped", None) or address)
