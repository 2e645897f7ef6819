"""One client's pipelined commands hold nobody else up: the event loop gets its turns, counted."""

import asyncio
import ssl
from typing import Any, cast

import pytest

from gateway.ports import Peer
from gateway.server.conversation import TURN_COMMANDS, Conversation, Patience
from gateway.server.wire import RECEIVE_OCTETS, Wire
from tests.conformance.lines import LISTENERS, LOOPBACK, Gateway
from tests.conformance.memory import Folder, Upstream

LOGIN = b"USER ann\r\nPASS secret\r\n"


class Transport(asyncio.Transport):
    """Takes all there is, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = bytearray()

    def write(self, data: Any) -> None:
        self.taken += data

    def resume_reading(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Socketless(Wire):
    def __init__(self, transport: Transport) -> None:
        super().__init__(cast("Any", None), Peer(LOOPBACK, is_loopback=True))
        self._made_of = transport

    async def open(self, context: ssl.SSLContext | None, seconds: float) -> None:
        self.connection_made(self._made_of)

    async def wait_lost(self) -> None:
        pass


async def turns(commands: bytes, end: bytes) -> int:
    """How often others had their turn until the answer ended so."""
    folder = Folder("secret")
    folder.add("1", b"Subject: one\r\n\r\n1\r\n")
    gateway = Gateway(Upstream({"ann": folder}).services(0), LISTENERS["pop3"])
    transport = Transport()
    wire = Socketless(transport)
    session = gateway.session(Peer(LOOPBACK, is_loopback=True))
    conversation = Conversation(wire, session, Patience(60, 60, 60), cast("Any", None), gateway.events.append)
    task = asyncio.create_task(conversation.run(None))
    await asyncio.sleep(0)
    wire.data_received(commands)
    count = 0
    while not transport.taken.endswith(end):
        await asyncio.sleep(0)
        count += 1
    task.cancel()
    await asyncio.wait({task})
    return count


@pytest.mark.parametrize(
    ("before", "command", "end"),
    [
        (b"", b"NOOP\r\n", b""),
        (b"", b"CAPA\r\n", b"\r\n.\r\n"),
        (b"", b"AUTH\r\n", b"\r\n.\r\n"),
        (b"", b"PASS x\r\n", b"send USER first\r\n"),
        (LOGIN, b"LIST\r\n", b"\r\n.\r\n"),
        (LOGIN, b"UIDL\r\n", b"\r\n.\r\n"),
        (LOGIN, b"RETR 1\r\n", b"\r\n.\r\n"),
        (LOGIN, b"TOP 1 0\r\n", b"\r\n.\r\n"),
        (LOGIN, b"STAT\r\n", b"\r\n"),
    ],
)
async def test_a_flood_of_any_command_leaves_others_their_turns(before: bytes, command: bytes, end: bytes) -> None:
    count = RECEIVE_OCTETS // len(command)
    assert await turns(before + command * count + b"BYE\r\n", end + ERROR) >= count // TURN_COMMANDS


ERROR = b"-ERR unknown command BYE; CAPA tells what is offered\r\n"
