"""A message's octets, in any blocks, become what the slow reference makes of them."""

import re
from random import Random

from gateway.pop3 import BodyEncoder
from tests.fuzz.bugs import demand
from tests.pop3.reference import expected
from tests.servers import messages

TOPS = (*[None] * 6, 0, 1, 2, 3, 40, 10**17)
GALLERY = {name: octets for name, octets in messages.GALLERY.items() if len(octets) < 4096}
BLOCKS = 6  # at most, besides the last
TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b".", b"..", b".\r\n", b"\r\n.\r\n", b"\r\n\r\n", b"\n\n", b"\0"),
    *(b"\xff", b"\xc3\xbc", b"Subject: x", b" ", b"\t", b"From ", b"x" * 1000, b".\r\n" * 30),
)


def run(octets: bytes, random: Random) -> str:
    top = random.choice(TOPS)
    cuts = sorted(random.randint(0, len(octets)) for _ in range(random.randrange(BLOCKS)))
    blocks = [octets[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    encoder = BodyEncoder(top)
    told = b""
    for block in blocks:
        was_done = encoder.done
        more = encoder.feed(block)
        demand(not (was_done and more), "it was done, and goes on")
        told += more
    told += encoder.finish()
    wanted = expected(octets, top)
    demand(told == wanted.encoded, f"{told!r} instead of {wanted.encoded!r} (TOP {top}, {blocks})")
    demand(encoder.octets == wanted.octets, f"{encoder.octets} octets instead of {wanted.octets}")
    demand(not re.search(rb"(?<!\r)\n|\0", told), "a bare LF or a NUL goes out")
    demand(told == b".\r\n" or told.find(b"\r\n.\r\n") == len(told) - 5, "the answer ends before its end")
    return "message" if top is None else "top"
