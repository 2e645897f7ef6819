"""What a proxy's connection begins with: whose it is and where the header ends, or BadHeader."""

import re
import socket
from ipaddress import ip_address
from random import Random

from gateway.server.proxy import MOST_OCTETS, SIGNATURE, V2_MORE_OCTETS, BadHeader, Header, HeaderReader
from tests.fuzz.bugs import demand
from tests.fuzz.packets import packet_octets

TOKENS = (
    *(
        b"PROXY ",
        b"TCP4 ",
        b"TCP6 ",
        b"UNKNOWN",
        b"192.0.2.7 ",
        b"2001:db8::7 ",
        b"::ffff:192.0.2.7 ",
        b"995",
        b"0",
    ),
    *(b" ", b"\r\n", b"\r", b"\n", b":", b".", b"%1", b"65536", b"QUIT\n", b"f" * 107),
    *(SIGNATURE, b"\x20", b"\x21", b"\x11", b"\x21\x11\0\x0c", b"\x21\x21\0\x24", b"\x21\x31\0\xd8", b"\0\0"),
    *(b"\x10\0", b"\x10\x01", b"\0" * 12, b"\xff" * 36, b"/run/socket\0" * 18),
)
_LINE = re.compile(rb"PROXY (TCP4|TCP6) (\S+) (\S+) (\d+) (\d+)\r\n", re.ASCII)

Found = tuple[Header | None, int]  # and how many octets it has; None: it is not whole


def run(octets: bytes, random: Random) -> str:
    found, again = _read(octets, random), _read(octets, Random(random.random()))
    demand(found == again, f"where packets end makes a difference: {found} or {again}")
    wanted = _expected(octets)
    demand(found == wanted, f"{found} instead of {wanted}")
    match found:
        case None:
            return "refused"
        case None, _:
            return "goes on"
        case Header(is_local=True), _:
            return "itself"
        case Header(address), _:
            return "a client" if address else "nobody"


def _read(octets: bytes, random: Random) -> Found | None:
    reader, at, most = HeaderReader(), 0, packet_octets(octets, random)
    try:
        while reader.header is None and at < len(octets):
            packet = octets[at : at + random.randint(1, most)]
            taken = reader.receive(packet)
            demand(taken == len(packet) or reader.header is not None, "what belongs to it was not taken")
            demand(at + taken <= MOST_OCTETS, f"{at + taken} octets are held")
            at += taken
    except BadHeader as error:
        demand(str(error).isprintable(), f"the log gets {error}")
        return None
    return reader.header, at


def _expected(octets: bytes) -> Found | None:
    """By other means. None: it is no header."""
    if octets.startswith(SIGNATURE):
        return _binary(octets)
    if SIGNATURE.startswith(octets) or b"PROXY ".startswith(octets):
        return None, len(octets)
    if not octets.startswith(b"PROXY "):
        return None
    line, end, _ = octets[:107].partition(b"\r\n")
    if not end:
        return (None, len(octets)) if len(octets) < 107 else None
    line += end
    if re.match(rb"PROXY UNKNOWN[ \r]", line) and (line[13:14] == b" " or len(line) == 15):
        return Header(), len(line)
    found = _LINE.fullmatch(line)
    if not found or any(port != b"%d" % int(port) or int(port) > 65535 for port in found.groups()[3:]):
        return None
    family = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}[found[1]]
    try:
        source, _ = (socket.inet_pton(family, end.decode("ascii")) for end in (found[2], found[3]))
    except (OSError, ValueError):
        return None
    return Header(_shown(family, source)), len(line)


def _binary(octets: bytes) -> Found | None:
    if len(octets) < 16:
        return None, len(octets)
    command, kind, length = octets[12], octets[13], 16 + 256 * octets[14] + octets[15]
    if length - 16 > V2_MORE_OCTETS:
        return None
    if len(octets) < length:
        return None, len(octets)
    if command == 0x20:
        return Header(is_local=True), length
    if command != 0x21 or kind // 16 > 3 or kind % 16 > 2:
        return None
    needed = {1: 12, 2: 36, 3: 216}.get(kind // 16, 0) if kind % 16 else 0
    if length - 16 < needed:
        return None
    if needed == 12:
        return Header(_shown(socket.AF_INET, octets[16:20])), length
    return Header(_shown(socket.AF_INET6, octets[16:32]) if needed == 36 else ""), length


def _shown(family: int, packed: bytes) -> str:
    if packed[:12] == b"\0" * 10 + b"\xff\xff" and family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return str(ip_address(socket.inet_ntop(family, packed)))  # which writes some in another way
