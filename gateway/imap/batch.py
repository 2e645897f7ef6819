"""Several messages in the answer to one FETCH, each held whole: those that nobody has asked for yet.

Whatever is odd about one is left out, and met when it is asked for.

What looks as nearly all servers say it is taken in the event loop, as it comes. A thread that wakes for each
packet would take the processor, and the interpreter's lock, from the loop that serves the client meanwhile. From
the first odd line on the rest is a thread's, which may wait.
"""

import asyncio
import re
from collections.abc import Callable, Iterator

from gateway.imap.bodies import fetch_command, names_of
from gateway.imap.responses import Atom, Done, Fetch, Literal, Responses
from gateway.imap.transport import LINE_LIMIT, LITERAL_LIMIT, Transport
from gateway.maildrop import Window

Put = Callable[[int, bytes], None]  # what is done with a UID and its octets

_USUAL = re.compile(rb"\* \d{1,10} FETCH \(UID (\d{1,10}) (BODY\[\](?:<0>)?) \{([1-9]\d{0,6})\}\r\n")
_USUAL_END = b")\r\n"
# Responses that the loop takes besides those that were asked for; a server that floods is a thread's from then on.
NEWS = 100
# Behind these lines comes more that belongs to them.
_GOES_ON = re.compile(rb"\* \d+ FETCH\b|.*\}\r?\n\Z", re.IGNORECASE | re.DOTALL)


class Batch:
    """listen(), and where it is not `done` then, rest(); or rest() alone, for all of it."""

    def __init__(self, transport: Transport, uid_set: str, window: Window, octets: int | None) -> None:
        """Of each message `octets` from its beginning, or all. The window says how many may be waited for."""
        tag = transport.new_tag()
        self.done = False
        self._transport = transport
        self._window = window
        self._most = len(window) + NEWS  # responses, in the event loop
        self._names = names_of(octets)
        self._unsent = fetch_command(tag, uid_set, octets)
        self._responses = Responses(transport, tag)

    async def listen(self, put: Put) -> None:
        """In the event loop, as long as it can be done without waiting for one octet more. Raises OSError and
        UpstreamError.
        """
        loop, sock = asyncio.get_running_loop(), self._transport.socket
        over: asyncio.Future[None] = loop.create_future()

        def hear() -> None:
            if over.done():  # cancelled in this turn of the loop
                return
            try:
                goes_on = self.hear(put)
            except Exception as error:
                over.set_exception(error)
            else:
                if goes_on:
                    return
                over.set_result(None)
            loop.remove_reader(sock)

        if self.begin():
            loop.add_reader(sock, hear)
            try:
                await over
            finally:
                loop.remove_reader(sock)

    def begin(self) -> bool:
        """Ask. False where that would have to wait."""
        self._unsent = self._transport.send_now(self._unsent)
        return not self._unsent

    def hear(self, put: Put) -> bool:
        """Take what is here. Whether more of the usual is to come."""
        is_open = self._transport.receive_now()
        self._put_whole(put)
        return is_open and not self.done and self._most > 0 and self._waits()

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """What is left, in the order it comes; each is waited for."""
        if self._unsent:
            self._transport.send(self._unsent)
        while not self.done:
            response = self._responses.next()
            if isinstance(response, Fetch) and (found := self._whole(response)):
                yield found
            self.done = isinstance(response, Done)
            if not self.done:
                yield from self._here_whole()

    def _put_whole(self, put: Put) -> None:
        """Messages that are here whole, and the lines between them."""
        held = self._transport.held
        while not self.done and self._most > 0:
            for uid, body in self._here_whole():
                put(uid, body)
                self._most -= 1
            end = held.find(b"\n") + 1
            if not end or _GOES_ON.match(held, 0, end):
                return
            self.done = isinstance(self._responses.next(), Done)
            self._most -= 1

    def _waits(self) -> bool:
        """Whether what is held begins a message that is as usual and has room, or is part of a line."""
        held = self._transport.held
        if b"\n" not in held:
            return len(held) < LINE_LIMIT
        usual = _USUAL.match(held)
        if usual is None or usual[2].decode("ascii") not in self._names:
            return False
        length = int(usual[3])
        return length <= self._window.get(int(usual[1]), 0) and len(held) < usual.end() + length + len(_USUAL_END)

    def _here_whole(self) -> list[tuple[int, bytes]]:
        """The responses that are here already, whole, and look as usual: no need to read them piece by piece."""
        found: list[tuple[int, bytes]] = []
        held, at = self._transport.held, 0
        with memoryview(held) as octets:
            while usual := _USUAL.match(held, at):
                uid, name, length = usual.groups()
                begin, end = usual.end(), usual.end() + int(length)
                at_end = end + len(_USUAL_END)
                if octets[end:at_end] != _USUAL_END or name.decode("ascii") not in self._names:
                    break
                found.append((int(uid), octets[begin:end].tobytes()))
                at = at_end
        self._transport.drop(at)
        return found

    def _whole(self, fetch: Fetch) -> tuple[int, bytes] | None:
        uid, body = 0, None
        for name, value in self._responses.items(fetch):
            if name == "UID" and isinstance(value, bytes) and value.isdigit():
                uid = int(value)
            elif isinstance(value, Literal):
                if name in self._names and value.octets <= LITERAL_LIMIT:
                    body = self._transport.read(value.octets)
                else:
                    self._responses.skip(value.octets)
            elif name in self._names and not isinstance(value, Atom):
                body = value
        return (uid, body) if body else None
