"""The four ways in which a client sends what a transcript has it say."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from tests.conformance.transcript import CRLF, Say, Step

CRUMBS = 100  # octets at both ends of a line that go one by one, always
FEW = 50  # octets that go together in between


@dataclass(frozen=True, slots=True)
class Way:
    """How the client sends what it has to say."""

    name: str
    pipelined: bool = False  # all at once, up to the next event
    octet_by_octet: bool = False
    line_end: bytes = CRLF

    def exchanges(self, steps: list[Step]) -> Iterator[list[Step]]:
        """What the client says before it waits, each time with the answer."""
        return _at_once(steps) if self.pipelined else _in_turn(steps)

    def pieces(self, says: list[Say]) -> Iterator[bytes]:
        """The octets, as they are put on the line."""
        lines = [say.octets + (self.line_end if say.ended else b"") for say in says]
        pieces = chain.from_iterable(map(_crumbs, lines)) if self.octet_by_octet else [b"".join(lines)]
        return filter(None, pieces)


WAYS = (
    Way("as written"),
    Way("pipelined", pipelined=True),
    Way("octet by octet", octet_by_octet=True),
    Way("bare LF", line_end=b"\n"),
)


def _in_turn(steps: list[Step]) -> Iterator[list[Step]]:
    """A new exchange begins with what is said after an answer."""
    exchange: list[Step] = []
    for step in steps:
        if isinstance(step, Say) and exchange and not isinstance(exchange[-1], Say):
            yield exchange
            exchange = []
        exchange.append(step)
    yield exchange


def _crumbs(line: bytes) -> Iterator[bytes]:
    """Single octets. The middle of a very long line goes by a few at a time: it would take seconds."""
    start = 0
    while start < len(line):
        size = FEW if CRUMBS <= start < len(line) - CRUMBS else 1
        yield line[start : start + size]
        start += size


def _at_once(steps: list[Step]) -> Iterator[list[Step]]:
    """All that the client says with all that it hears, and then what stays without an answer for now."""
    answered = max((index for index, step in enumerate(steps, 1) if not isinstance(step, Say)), default=0)
    yield from filter(None, (steps[:answered], steps[answered:]))
