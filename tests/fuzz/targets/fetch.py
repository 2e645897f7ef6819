"""A server's answers to two FETCHes, of one message and of the beginning of the next."""

import re
from random import Random
from unittest.mock import patch

from gateway.errors import GatewayError, UpstreamError
from gateway.imap import bodies
from gateway.imap.bodies import BodyReader
from gateway.imap.transport import BLOCK_OCTETS, Transport
from tests.fuzz.bugs import demand
from tests.fuzz.far_end import Endless, FarEnd
from tests.fuzz.targets.endings import ending

FIRST, SECOND = 7, 8  # UIDs
LISTED = {FIRST: 5, SECOND: 0}  # octets; that a message has none is possible, but hardly ever true
BLOCKS = (16, BLOCK_OCTETS)  # octets; small ones, so that a short message has several
BEGINNING = 1000  # octets
TOKENS = (
    *(b"* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n", b"* 2 FETCH (BODY[]<0> {5}\r\nhello UID 8)\r\n"),
    *(b"@0 OK done\r\n", b"@1 OK done\r\n", b"@0 NO [LIMIT] no\r\n", b"* BYE gone\r\n", b"* 3 EXPUNGE\r\n"),
    *(b"UID 7 ", b"UID 8 ", b" UID 9", b"BODY[] ", b"BODY[]<0> ", b"RFC822 ", b"FLAGS (\\Seen) "),
    *(b"NIL", b'""', b'"hello"', b'"a\\"b\\\\"', b"{0}\r\n", b"{5}\r\n", b"~{5}\r\n", b"{5+}\r\n", b"{05}\r\n"),
    *(b"{99999999999}\r\n", b"{262144}\r\n", b"(", b")", b"((()))", b'"', b"\\", b" ", b"\r\n", b"\n", b"\0"),
    *(b"\xff", b"[", b"]", b"<0>", b"* OK [ALERT] x\r\n", b"* 1 FETCH (X " + b"(" * 5000, b"X {4}\r\n)\r\n( "),
    *(b"+ \r\n", b"\r", b"BODY[HEADER] "),
)


def run(octets: bytes, random: Random) -> str:
    most = random.choice(BLOCKS)
    with patch.object(bodies, "BLOCK_OCTETS", most):
        if not random.randrange(8):
            return _names(_read_both(Endless(octets, random), most))
        server = FarEnd(octets, random)
        found = _read_both(server, most)
        again = _read_both(FarEnd(octets, Random(random.random())), most)
    demand(_same(found, again), f"where packets end makes a difference: {found} or {again}")
    for uid, body in zip(LISTED, found, strict=False):
        if isinstance(body, bytes):
            _look_for(body, uid, server.said)
    return _names(found)


def _read_both(transport: Transport, most: int) -> list[bytes | GatewayError]:
    first = ending(lambda: _read(BodyReader(transport, FIRST, LISTED[FIRST]), most))
    if isinstance(first, UpstreamError):  # the connection would be given up
        return [first]
    return [first, ending(lambda: _read(BodyReader(transport, SECOND, LISTED[SECOND], BEGINNING), most))]


def _read(reader: BodyReader, most: int) -> bytes:
    blocks = [reader.open()]
    while not reader.finished:
        blocks.append(reader.read())
        demand(len(blocks[-1]) <= most, f"a block of {len(blocks[-1])} octets")
    body = b"".join(blocks)
    demand(len(body) == reader.octets, f"{len(body)} octets of {reader.octets} that were announced")
    return body


def _look_for(body: bytes, uid: int, said: bytes) -> None:
    """A message that was read is one that was sent: announced, named, verbatim or quoted, and called whole."""
    demand(bool(re.search(rb"(?i)\bUID %d\b" % uid, said)), f"nobody sent UID {uid}")
    announced = re.compile(rb"(?i)BODY\[\](<0>)? ~?\{0*%d\+?\}\r?\n" % len(body))
    ends = [found.end() for found in announced.finditer(said) if said.startswith(body, found.end())]
    quoted = re.search(rb'(?i)BODY\[\](<0>)? "', said)
    demand(bool(ends or quoted), f"nobody sent {body!r}")
    behind = min(ends) + len(body) if ends and not quoted else 0
    demand(bool(re.search(rb"(?mi)^[A-Z]+\d+ +OK\b", said[behind:])), f"nobody called {body!r} whole")


def _same(some: list[bytes | GatewayError], others: list[bytes | GatewayError]) -> bool:
    return [_kind(one) for one in some] == [_kind(one) for one in others]


def _kind(found: bytes | GatewayError) -> bytes | type[GatewayError]:
    return found if isinstance(found, bytes) else type(found)


def _names(found: list[bytes | GatewayError]) -> str:
    return ", ".join("body" if isinstance(one, bytes) else type(one).__name__ for one in found)
