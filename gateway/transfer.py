"""Messages on their way to the client: RETR and TOP as encoded blocks, pulled from a body of the mailbox."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from gateway.pop3 import BodyEncoder, Reply
from gateway.ports import Body, Mailbox

# What TOP asks for at first: room for a header, and for each line. Most headers of today, with their trace and
# signature fields, fit; where one does not, the message is asked for once more, eight times as far.
TOP_HEADER_OCTETS = 12_288
TOP_LINE_OCTETS = 100
TOP_GROWTH = 8


@dataclass(frozen=True, slots=True)
class Transfer:
    """A reply with a body that is on its way, in encoded blocks. Raises UpstreamError when it breaks off."""

    reply: Reply
    blocks: AsyncGenerator[bytes, None]


async def whole(body: Body, done: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
    """RETR. `done` is called with the message's octets once the client's end has taken the last block."""
    encoder = BodyEncoder()
    try:
        async for block in body:
            yield encoder.feed(block)
        yield encoder.finish()
    finally:
        await body.aclose()
    done(encoder.octets)


class Beginning:
    """TOP: a message from its start, asked for again and further where the first part was too short.

    Never pieced together from two ranges: several servers get the second one wrong. `limit` is how far is asked.
    """

    def __init__(self, mailbox: Mailbox, uid: int, lines: int) -> None:
        self.limit = TOP_HEADER_OCTETS + TOP_LINE_OCTETS * lines
        self._mailbox = mailbox
        self._uid = uid
        self._lines = lines

    def text_in(self, octets: bytes) -> bytes | None:
        """The text as it is sent, where these first octets are enough."""
        encoder = BodyEncoder(self._lines)
        text = encoder.feed(octets) + encoder.finish()
        return text if encoder.done or len(octets) < self.limit else None

    async def open(self) -> Body:
        """Ask for the first part. Raises what Mailbox.open_body raises."""
        return await self._mailbox.open_body(self._uid, self.limit)

    async def blocks(self, body: Body) -> AsyncGenerator[bytes, None]:
        """The encoded blocks, from the first part on."""
        encoder = BodyEncoder(self._lines)
        seen = 0  # octets of the message that the encoder has had
        while True:
            came = 0
            try:
                async for block in body:
                    came += len(block)
                    if came > seen:
                        yield encoder.feed(block[-(came - seen) :])
                        seen = came
                    if encoder.done:
                        break
            finally:
                await body.aclose()
            if encoder.done or came < self.limit:
                break
            self.limit *= TOP_GROWTH
            body = await self.open()
        yield encoder.finish()
