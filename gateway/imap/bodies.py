"""The body stream: one FETCH, read block by block, that can stop in mid-literal."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from gateway.errors import MessageGone, UpstreamError
from gateway.imap.responses import Atom, Done, Fetch, Literal, Responses, Value
from gateway.imap.transport import BLOCK_OCTETS, Transport

if TYPE_CHECKING:
    from gateway.imap.client import Client
    from gateway.imap.mailbox import UpstreamMailbox


def fetch_command(tag: bytes, uid_set: str, octets: int | None) -> bytes:
    """PEEK: what a client has seen is said at QUIT, not by a transfer that may break off."""
    part = b"" if octets is None else b"<0.%d>" % octets
    return tag + b" UID FETCH " + uid_set.encode("ascii") + b" (UID BODY.PEEK[]" + part + b")\r\n"


def names_of(octets: int | None) -> frozenset[str]:
    """What a body is called. A server that does not do ranges sends the whole, and calls it so."""
    return frozenset({"BODY[]"} if octets is None else {"BODY[]", "BODY[]<0>"})


class BodyReader:
    """Reads one message, or its first `octets`. Blocking: every call belongs into a worker thread.

    `listed` is the size that the snapshot has. RETR succeeds only if a body came, and for this UID: asked for a
    message that was expunged, real servers answer NIL, nothing, flags only, an empty literal, or another message.
    """

    def __init__(self, transport: Transport, uid: int, listed: int, octets: int | None = None) -> None:
        self.octets = 0  # of the body, as the server announces it
        self.left = 0  # of them, what is still in the stream
        tag = transport.new_tag()
        self._transport = transport
        self._responses = Responses(transport, tag)
        self._items: Iterator[tuple[str, Value]] = iter(())
        self._uid = uid
        self._listed = listed
        self._confirmed = False  # the response that bears the body named our UID
        self._names = names_of(octets)
        transport.send(fetch_command(tag, str(uid), octets))

    @property
    def finished(self) -> bool:
        """Whether nothing of the answer is left in the stream."""
        return self._responses.done

    def open(self) -> bytes:
        """Read on to the body and return its first block. Raises MessageGone when none comes."""
        while True:
            response = self._responses.next()
            if isinstance(response, Done):
                raise MessageGone(f"the server has no body for UID {self._uid}")
            if isinstance(response, Fetch):
                first = self._body_in(response)
                if first is not None:
                    return first

    def read(self) -> bytes:
        """The next block, at most 256 KiB. The last one comes only when the server has called it whole."""
        block = self._transport.read_some(min(self.left, BLOCK_OCTETS))
        self.left -= len(block)
        if not self.left:
            self._finish()
        return block

    def discard(self) -> None:
        """Take the rest off the stream."""
        while not self.finished:
            self.read()

    def _body_in(self, fetch: Fetch) -> bytes | None:
        """The first block of our body, or None where this response has none."""
        self._confirmed = False
        self._items = self._responses.items(fetch)
        for name, value in self._items:
            if name == "UID":
                self._confirmed = value == b"%d" % self._uid
                if not self._confirmed:
                    break
            elif name in self._names and value is not None:
                if (first := self._first_block(value)) is not None:
                    return first
            else:
                self._skip(value)
        for _, value in self._items:
            self._skip(value)
        return None

    def _first_block(self, value: bytes | Literal) -> bytes | None:
        if isinstance(value, Atom):  # nstring: RFC 3501 section 9
            raise UpstreamError("the server sent neither a string nor NIL for a message")
        if isinstance(value, bytes):  # a quoted string: short
            if not value and self._listed:
                return None
            self.octets = len(value)
            self._finish()
            return value
        if not value.octets:
            if self._listed:
                return None  # an empty literal stands for a message that is no more
            self._finish()
            return b""
        self.octets = self.left = value.octets
        # One block is read whole before anything is said to the client: if it breaks off, it can still be an -ERR.
        blocks = [self.read()]
        while self.left and self.octets <= BLOCK_OCTETS:
            blocks.append(self.read())
        return b"".join(blocks)

    def _finish(self) -> None:
        """The rest of the response, and of the answer. Raises when it was not our message, or not whole."""
        for name, value in self._items:
            if name == "UID":
                self._confirmed = value == b"%d" % self._uid
            self._skip(value)
        if not self._confirmed:
            raise UpstreamError(f"the server sent another message than UID {self._uid}")
        while not isinstance(response := self._responses.next(), Done):
            if isinstance(response, Fetch):
                self._responses.skip_items(response)

    def _skip(self, value: Value) -> None:
        if isinstance(value, Literal):
            self._responses.skip(value.octets)


class UpstreamBody:
    """Implements ports.Body."""

    def __init__(self, mailbox: "UpstreamMailbox", client: "Client", reader: BodyReader, first: bytes) -> None:
        self._mailbox = mailbox
        self._client = client
        self._reader = reader
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        self._first = b""
        while not self._reader.finished:
            yield await self._mailbox.read_block(self._client, self._reader)

    async def aclose(self) -> None:
        await self._mailbox.abandon(self._client, self._reader)
