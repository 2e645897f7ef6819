"""A server's answer to one FETCH of several messages, as reading ahead sends it."""

import re
from random import Random

from gateway.errors import GatewayError
from gateway.imap.batch import Batch
from gateway.imap.transport import LITERAL_LIMIT
from tests.fuzz.bugs import demand
from tests.fuzz.far_end import Endless, FarEnd
from tests.fuzz.targets import fetch
from tests.fuzz.targets.endings import ending

UIDS, ROOM = "7:9", dict.fromkeys((7, 8, 9), 1000)
TOKENS = (
    b"* 3 FETCH (UID 9 BODY[] {5}\r\nthird)\r\n",
    b"* 2 FETCH (UID 8 BODY[] {6}\r\nsecond)\r\n",
    *fetch.TOKENS,
)

# Where an answer is as plain as this, it has one meaning.
_ROW = re.compile(rb"\* \d{1,9} FETCH \(UID ([1-9]\d{0,8}) BODY\[\] \{([1-9]\d{0,4})\}\r\n")
_END = re.compile(rb"@0 OK \w+\r\n")


class _Ready(FarEnd):
    """Has always something to be read."""

    def send_now(self, octets: bytes) -> bytes:
        self.send(octets)
        return b""

    def receive_now(self) -> bool:
        return self.receive()


def run(octets: bytes, random: Random) -> str:
    if not random.randrange(8):
        found = _read(Endless(octets, random, whole=LITERAL_LIMIT))
        return "messages" if isinstance(found, list) else type(found).__name__
    found, again = _read(FarEnd(octets, random)), _hear(_Ready(octets, Random(random.random())))
    if isinstance(found, GatewayError):
        demand(type(found) is type(again), f"where packets end makes a difference: {found!r} or {again!r}")
        return type(found).__name__
    demand(found == again, f"where packets end makes a difference: {found} or {again!r}")
    demand(all(0 < len(body) <= LITERAL_LIMIT for _, body in found), "an empty message, or one that is too long")
    wanted = _plain(octets)
    demand(wanted in (None, found), f"{found} instead of {wanted}")
    return "messages" if found else "nothing"


def _read(server: FarEnd) -> list[tuple[int, bytes]] | GatewayError:
    return ending(lambda: list(Batch(server, UIDS, ROOM, None).rest()))


def _hear(server: _Ready) -> list[tuple[int, bytes]] | GatewayError:
    """The same as the event loop does it, which leaves to a thread what it would have to wait for."""

    def read() -> list[tuple[int, bytes]]:
        batch, found = Batch(server, UIDS, ROOM, None), list[tuple[int, bytes]]()
        batch.begin()
        while batch.hear(lambda uid, body: found.append((uid, body))):
            pass
        return found + list(batch.rest())

    return ending(read)


def _plain(octets: bytes) -> list[tuple[int, bytes]] | None:
    """The messages, as they come; None where the answer has more in it than that."""
    found, at = list[tuple[int, bytes]](), 0
    while row := _ROW.match(octets, at):
        end = row.end() + int(row[2])
        if not octets.startswith(b")\r\n", end):
            return None
        found.append((int(row[1]), octets[row.end() : end]))
        at = end + 3
    return found if _END.match(octets, at) else None
