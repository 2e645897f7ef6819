"""The server's end of a POP3 connection without a socket: octets in, events out; replies in, octets out.

    connection.receive(octets)
    while (event := connection.next_event()) is not NEED_DATA:
        for block in connection.send(reply_to(event)): ...

Events are pulled one by one, because a reply may change what the next line means: pipelined commands
(RFC 2449 section 6.6) behind PASS are read in the state that PASS led to.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Literal

from gateway.pop3.commands import (
    Command,
    Malformed,
    SaslCancelled,
    SaslResponse,
    read_command,
    read_sasl_response,
)
from gateway.pop3.replies import Reply, err
from gateway.pop3.states import Change, State, next_state

# Octets of one line. RFC 2449 section 4 lets a client send 255; OAuth tokens after AUTH and PASS take several
# kilobytes, and RFC 4954 section 4 settles on 12,288 for the same thing in SMTP.
LINE_LIMIT = 16_384


class NeedData(Enum):
    """The type of NEED_DATA."""

    NEED_DATA = "need data"


NEED_DATA: Literal[NeedData.NEED_DATA] = NeedData.NEED_DATA

Event = Command | Malformed | SaslResponse | SaslCancelled


class Connection:
    """Holds at most LINE_LIMIT octets beyond the last receive(): what an endless line adds is dropped."""

    def __init__(self) -> None:
        self.state = State.AUTHORIZATION
        self._buffer = b""
        self._at = 0  # where the next line begins
        self._searched = 0  # the buffer holds no LF between there and here
        self._skipping = False  # within a line that is over the limit

    @property
    def is_between_lines(self) -> bool:
        """Whether nothing of a line is here."""
        return not self._buffer and not self._skipping

    def receive(self, octets: bytes) -> None:
        self._buffer = self._buffer + octets if self._buffer else octets

    def next_event(self) -> Event | Literal[NeedData.NEED_DATA]:
        """The next event, or NEED_DATA. After the connection is closed whatever comes is ignored."""
        if self.state is State.CLOSED:
            self._forget()
            return NEED_DATA
        if self._at == len(self._buffer):  # nearly always, after a command that was not pipelined
            self._forget()
            return NEED_DATA
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._buffer = self._buffer[self._at :]
            self._at = 0
            self._searched = len(self._buffer)
            if self._searched > LINE_LIMIT + 1:  # the one may be the CR of a CRLF
                self._skipping = True
                self._forget()
            return NEED_DATA
        line = self._buffer[self._at : end].removesuffix(b"\r")  # a bare LF ends a line too: scripts send it
        self._at = self._searched = end + 1
        if self._skipping or len(line) > LINE_LIMIT:
            self._skipping = False
            return self._too_long()
        return self._read(line)

    def send(self, reply: Reply) -> Iterable[bytes]:
        """The octets of a reply; the state moves as the reply says."""
        self.state = next_state(self.state, reply.change)
        if reply.change is Change.TLS_STARTS:
            # What was pipelined behind STLS came in clear, from whoever was on the line: RFC 2595 section 4.
            self._forget()
        return reply.encode()

    def _read(self, line: bytes) -> Event:
        if self.state is State.AUTHENTICATING:
            return read_sasl_response(line)
        event = read_command(line, self.state)
        if isinstance(event, Command) and event.verb == "QUIT" and self.state is State.TRANSACTION:
            self.state = State.UPDATE  # RFC 1939 section 6
        return event

    def _too_long(self) -> Event:
        text = f"a line may have {LINE_LIMIT} octets"
        return SaslCancelled(text) if self.state is State.AUTHENTICATING else Malformed(err(text))

    def _forget(self) -> None:
        self._buffer = b""
        self._at = self._searched = 0
