"""The IMAP server's end of a connection, in memory: it says what it was given to say, command by command."""

import re
from random import Random
from socket import socket
from typing import cast

from gateway.imap.transport import LINE_LIMIT, RECEIVE_OCTETS, Transport
from tests.fuzz.bugs import demand
from tests.fuzz.packets import packet_octets

SECONDS = 60.0  # nothing here waits
READS_AFTER_THE_END = 20  # two or three readers may each meet it; a loop goes on and on
HELD_OCTETS = 2_097_152 + RECEIVE_OCTETS  # the longest line that gateway.imap.client lets imaplib have
ENDLESS_OCTETS = 3 * LINE_LIMIT  # of one line or many: more than may be held

# Neither a literal's octets nor the answer to a challenge looks so; and two commands may go in one packet.
COMMAND = re.compile(rb"(?m)^([A-Z]+\d+) [A-Z]")
_ANSWER = re.compile(rb"(?m)^@(\d{1,3})(?= )")
_BEFORE_ANSWERS = re.compile(rb"(?m)(?=^@\d{1,3} )")
_TO_ANSWERS = re.compile(rb"(?ms).*?^@\d{1,3} [^\n]*(?:\n|\Z)|.+")


class FarEnd(Transport):
    """Says `octets` and ends. A line that begins with `@n ` answers the n-th command of the connection, from 0:
    the tag that it really had takes the place of `@n`.
    """

    def __init__(self, octets: bytes, random: Random) -> None:
        super().__init__(cast("socket", _NoSocket()))
        self.sent: list[bytes] = []
        self.said = b""  # with the real tags
        self._tags: list[bytes] = []
        self._random = random
        self._most = packet_octets(octets, random)
        self._flights = flights(octets, at_once=not random.randrange(4))
        self._flight = b""
        self._reads_after_the_end = 0
        self.allow(SECONDS)

    def send(self, octets: bytes) -> None:
        self.activity += 1
        self._left()  # raises where no deadline is set
        self._tags += COMMAND.findall(octets)
        self.sent.append(octets)

    def send_now(self, octets: bytes) -> bytes:
        """No event loop can listen to it, so all that is read ahead is a thread's."""
        return octets

    def unasked(self) -> bytes:
        if not self._flight and not self._flights:
            raise ConnectionError("the server closed the connection")
        came, self._flight = bytes(self.held) + self._flight, b""
        self.held.clear()
        return came

    def _receive(self, most: int) -> bytes:
        self._left()
        demand(len(self.held) <= HELD_OCTETS, f"{len(self.held)} octets are held")
        if not self._flight and self._flights:
            self._flight = _ANSWER.sub(self._tag, self._flights.pop(0))
            self.said += self._flight
        if not self._flight:
            return self._end(most)
        octets = min(most, self._random.randint(1, self._most))
        piece, self._flight = self._flight[:octets], self._flight[octets:]
        return piece

    def _end(self, most: int) -> bytes:
        self._reads_after_the_end += 1
        demand(self._reads_after_the_end < READS_AFTER_THE_END, "it reads on and on after the end")
        return b""

    def _more_is_here(self) -> bool:
        return bool(self._flight and self._random.randrange(2))

    def _tag(self, found: re.Match[bytes]) -> bytes:
        number = int(found[1])
        return self._tags[number] if number < len(self._tags) else found[0]


class Endless(FarEnd):
    """Says the last line again and again, until the time is over; whoever reads must not hold it all: no more than
    a line, or a literal of `whole` octets.
    """

    def __init__(self, octets: bytes, random: Random, *, whole: int = LINE_LIMIT) -> None:
        super().__init__(octets, random)
        self._most_held = whole + RECEIVE_OCTETS
        self._again = octets[octets.rstrip(b"\n").rfind(b"\n") + 1 :] or b"x"
        self._said = 0

    def _end(self, most: int) -> bytes:
        demand(len(self.held) <= self._most_held, f"{len(self.held)} octets are held")
        if self._said > ENDLESS_OCTETS:
            raise TimeoutError("the time for this exchange is over")
        piece = (self._again * (RECEIVE_OCTETS // len(self._again) + 1))[:most]
        self._said += len(piece)
        return piece


class _NoSocket:
    """What imaplib, IMAPClient and Transport do to a socket besides reading and writing."""

    def settimeout(self, seconds: float | None) -> None:
        pass

    def close(self) -> None:
        pass


def flights(octets: bytes, *, at_once: bool) -> list[bytes]:
    """What comes together: the first line, a greeting, by itself; then all up to each line that answers.

    `at_once`: what is behind such a line does not wait for somebody to read on, but comes with it.
    """
    greeting, end, rest = octets.partition(b"\n")
    split = _BEFORE_ANSWERS.split(rest) if at_once else _TO_ANSWERS.findall(rest)
    return [flight for flight in (greeting + end, *split) if flight]
