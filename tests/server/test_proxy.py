"""The PROXY protocol's header: what it says, where it ends, and what is none."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ports import Peer
from gateway.server.peers import Proxies
from gateway.server.proxy import LOCAL, SIGNATURE, V2_MORE_OCTETS, BadHeader, Header, HeaderReader

V4_ENDS = bytes([192, 0, 2, 7, 203, 0, 113, 1]) + b"\xdc\x04\x03\xe3"
V6_ENDS = IPv6Address("2001:db8::7").packed + IPv6Address("2001:db8::1").packed + b"\xdc\x04\x03\xe3"
MAPPED_ENDS = IPv6Address("::ffff:192.0.2.7").packed * 2 + b"\xdc\x04\x03\xe3"
LONGEST = b":".join([b"ffff"] * 8)
TLVS = b"\x03\0\x04crc!" + b"\x20\0\x05\x01\0\0\0\0"


def v2(command: int, kind: int, more: bytes) -> bytes:
    return SIGNATURE + bytes([command, kind]) + len(more).to_bytes(2) + more


GOOD = {
    "TCP4": (b"PROXY TCP4 192.0.2.7 203.0.113.1 56324 995\r\n", Header("192.0.2.7")),
    "TCP6": (b"PROXY TCP6 2001:DB8::7 2001:db8::1 0 65535\r\n", Header("2001:db8::7")),
    "IPv4 within TCP6": (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:1.2.3.4 1 2\r\n", Header("192.0.2.7")),
    "the longest TCP6": (
        b"PROXY TCP6 %b %b 65535 65535\r\n" % (LONGEST, LONGEST),
        Header(LONGEST.decode()),
    ),
    "UNKNOWN": (b"PROXY UNKNOWN\r\n", Header()),
    "UNKNOWN and whatever": (b"PROXY UNKNOWN 1.2.3.4 \xff\0\n more\r\n", Header()),
    "the longest line": (b"PROXY UNKNOWN ".ljust(105, b"f") + b"\r\n", Header()),
    "LOCAL": (LOCAL, Header(is_local=True)),
    "LOCAL with addresses, which are ignored": (v2(0x20, 0x11, V4_ENDS), Header(is_local=True)),
    "LOCAL of no known family": (v2(0x20, 0xFF, b"what"), Header(is_local=True)),
    "TCP over IPv4": (v2(0x21, 0x11, V4_ENDS), Header("192.0.2.7")),
    "UDP over IPv4": (v2(0x21, 0x12, V4_ENDS), Header("192.0.2.7")),
    "TCP over IPv6": (v2(0x21, 0x21, V6_ENDS), Header("2001:db8::7")),
    "IPv4 within IPv6": (v2(0x21, 0x21, MAPPED_ENDS), Header("192.0.2.7")),
    "UNIX": (v2(0x21, 0x31, b"/run/x".ljust(216, b"\0")), Header()),
    "UNSPEC": (v2(0x21, 0x00, V4_ENDS), Header()),
    "UNSPEC with nothing": (v2(0x21, 0x00, b""), Header()),
    "IPv4 over what is not said": (v2(0x21, 0x10, V4_ENDS), Header()),
    "with more behind the addresses": (v2(0x21, 0x11, V4_ENDS + TLVS), Header("192.0.2.7")),
    "with more that makes no sense": (v2(0x21, 0x11, V4_ENDS + b"\xff"), Header("192.0.2.7")),
    "as long as may be": (v2(0x21, 0x11, V4_ENDS.ljust(V2_MORE_OCTETS, b"\0")), Header("192.0.2.7")),
}
BAD = {
    "POP3": b"CAPA\r\n",
    "TLS": b"\x16\x03\x01\x02\0\x01",
    "small letters": b"proxy TCP4 192.0.2.7 203.0.113.1 1 2\r\n",
    "an unknown family": b"PROXY TCP5 192.0.2.7 203.0.113.1 1 2\r\n",
    "IPv6 for TCP4": b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    "IPv4 for TCP6": b"PROXY TCP6 192.0.2.7 203.0.113.1 1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n",
    "a zero in front": b"PROXY TCP4 192.0.02.7 203.0.113.1 1 2\r\n",
    "a number of 256": b"PROXY TCP4 192.0.256.7 203.0.113.1 1 2\r\n",
    "a wrong destination": b"PROXY TCP4 192.0.2.7 203.0.113 1 2\r\n",
    "a port too large": b"PROXY TCP4 192.0.2.7 203.0.113.1 65536 2\r\n",
    "a port with a zero in front": b"PROXY TCP4 192.0.2.7 203.0.113.1 01 2\r\n",
    "a port of digits from elsewhere": "PROXY TCP4 192.0.2.7 203.0.113.1 \u0661 2\r\n".encode(),
    "two spaces": b"PROXY TCP4  192.0.2.7 203.0.113.1 1 2\r\n",
    "a space at the end": b"PROXY TCP4 192.0.2.7 203.0.113.1 1 2 \r\n",
    "no ports": b"PROXY TCP4 192.0.2.7 203.0.113.1\r\n",
    "LF in the place of CRLF": b"PROXY TCP4 192.0.2.7 203.0.113.1 1 2\n\r\n",
    "UNKNOWNX": b"PROXY UNKNOWNX\r\n",
    "a line too long": b"PROXY UNKNOWN ".ljust(106, b"f") + b"\r\n",
    "no end": b"PROXY UNKNOWN ".ljust(107, b"f"),
    "version 1 in binary": v2(0x11, 0x11, V4_ENDS),
    "version 3": v2(0x31, 0x11, V4_ENDS),
    "an unknown command": v2(0x22, 0x11, V4_ENDS),
    "an unknown family in binary": v2(0x21, 0x41, V4_ENDS),
    "an unknown transport": v2(0x21, 0x13, V4_ENDS),
    "too short for IPv4": v2(0x21, 0x11, V4_ENDS[:-1]),
    "too short for IPv6": v2(0x21, 0x21, V6_ENDS[:-1]),
    "too short for UNIX": v2(0x21, 0x31, bytes(215)),
    "too long": v2(0x21, 0x11, V4_ENDS.ljust(V2_MORE_OCTETS + 1, b"\0"))[:16],
}


def read(*packets: bytes) -> tuple[Header | None, bytes]:
    """What a connection with these packets says, and what is left of it for others."""
    reader, left = HeaderReader(), b""
    for packet in packets:
        taken = 0 if reader.header else reader.receive(packet)
        assert taken == len(packet) or reader.header
        left += packet[taken:]
    return reader.header, left


@pytest.mark.parametrize(("octets", "said"), GOOD.values(), ids=GOOD)
def test_a_header_says_whose_the_connection_is_and_what_is_behind_it_is_left(octets: bytes, said: Header) -> None:
    assert read(octets) == (said, b"")
    assert read(octets + b"\x16\x03\x01 TLS") == (said, b"\x16\x03\x01 TLS")
    assert read(octets + LOCAL) == (said, LOCAL)


@pytest.mark.parametrize(("octets", "said"), GOOD.values(), ids=GOOD)
def test_it_makes_no_difference_where_packets_end(octets: bytes, said: Header) -> None:
    following = b"CAPA\r\n"
    assert read(*[bytes([octet]) for octet in octets + following]) == (said, following)
    for cut in range(1, min(len(octets), 300)):
        assert read(octets[:cut], octets[cut:] + following) == (said, following)
        assert read(octets[:cut])[0] is None


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD)
def test_what_is_no_header_is_refused_at_once_and_not_repeated(octets: bytes) -> None:
    with pytest.raises(BadHeader) as at_once:
        read(octets)
    with pytest.raises(BadHeader) as in_pieces:
        read(*[bytes([octet]) for octet in octets])
    assert str(at_once.value) == str(in_pieces.value)
    assert "192" not in str(at_once.value)


@given(st.ip_addresses(v=4), st.integers(0, 65535), st.binary(max_size=40), st.binary(max_size=40))
def test_every_ipv4_address_comes_through_both_versions(
    address: IPv4Address, port: int, tlvs: bytes, following: bytes
) -> None:
    line = f"PROXY TCP4 {address} {address} {port} {port}\r\n".encode()
    binary = v2(0x21, 0x11, address.packed * 2 + port.to_bytes(2) * 2 + tlvs)
    for octets in (line, binary):
        assert read(octets + following) == (Header(str(address)), following)


@given(
    st.integers(0, 2**128 - 1).map(IPv6Address).filter(lambda address: address.ipv4_mapped is None),
    st.binary(max_size=40),
)
def test_every_ipv6_address_comes_through_both_versions(address: IPv6Address, following: bytes) -> None:
    line = f"PROXY TCP6 {address.exploded} {address} 1 2\r\n".encode()
    binary = v2(0x21, 0x21, address.packed * 2 + bytes(4))
    for octets in (line, binary):
        assert read(octets + following) == (Header(str(address)), following)


# Whom it makes the client


PROXIES = Proxies([ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32")])


@pytest.mark.parametrize(
    ("header", "proxy", "client"),
    [
        (Header("192.0.2.7"), "10.1.2.3", Peer("192.0.2.7")),
        (Header("192.0.2.7"), "::ffff:10.1.2.3", Peer("192.0.2.7")),
        (Header("192.0.2.7"), "127.0.0.1", Peer("192.0.2.7")),
        (Header("127.0.0.1"), "127.0.0.1", Peer("127.0.0.1", is_loopback=True)),
        (Header("127.0.0.1"), "10.1.2.3", Peer("127.0.0.1")),  # the proxy's own loopback: a network is between
        (Header(is_local=True), "10.1.2.3", Peer("10.1.2.3")),
        (Header(is_local=True), "127.0.0.1", Peer("127.0.0.1", is_loopback=True)),
        (Header(), "10.1.2.3", Peer("10.1.2.3")),
        (Header(), "127.0.0.1", Peer("127.0.0.1")),  # nobody knows who it is: no password in clear
    ],
)
def test_the_client_is_on_loopback_only_where_nothing_crosses_a_network(
    header: Header, proxy: str, client: Peer
) -> None:
    assert PROXIES.client(header, proxy) == client


def test_only_a_proxy_may_speak_and_who_is_on_loopback_for_itself() -> None:
    proxies = Proxies([ip_network("10.0.0.0/8")])
    assert proxies.may_speak("10.255.0.1")
    assert not proxies.may_speak("192.0.2.1")
    assert proxies.may_speak("::1")
    assert proxies.client(Header(is_local=True), "::1") == Peer("::1", is_loopback=True)
    with pytest.raises(BadHeader, match="no proxy of ours"):
        proxies.client(Header("192.0.2.7"), "::1")
