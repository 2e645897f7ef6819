"""RETR in order: the next reply is made while the client takes the last one, and no client can tell."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.session import FORESEEN_OCTETS
from tests.conformance.lines import LISTENERS, Gateway, MemoryClient
from tests.conformance.memory import Folder, Upstream

LOGIN = b"USER ann\r\nPASS secret\r\n"
COUNT = 6  # the upstream in memory has each second message at hand: 2, 4, 6


def octets_of(number: int) -> bytes:
    return b"Subject: %d\r\n\r\n.%d\r\n" % (number, number)


def reply_of(number: int) -> bytes:
    message = octets_of(number)
    return b"+OK %d octets\r\n%b.\r\n" % (len(message), message.replace(b"\r\n.", b"\r\n.."))


class Talk:
    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        gateway = Gateway(Upstream({"ann": folder}).services(0), LISTENERS["pop3, passwords in clear allowed"])
        self._client = MemoryClient(gateway)

    async def ask(self, *packets: bytes) -> bytes:
        """The answer to all of them; each comes by itself."""
        for octets in packets:
            await self._client.say(octets)
        answer = await self._client.hear(bool)
        await asyncio.sleep(0)  # the client takes it, and the next one is made
        return answer

    async def ask_and_leave(self, octets: bytes) -> None:
        await self._client.say(octets)
        await self._client.stop_sending()
        await self._client.ended(0)

    async def vanish(self) -> None:
        await self._client.vanish()


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    folder = Folder("secret")
    for number in range(1, COUNT + 1):
        folder.add(str(number), octets_of(number))
    made = Talk(folder)
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    await made.ask(LOGIN)
    yield made
    await made.vanish()
    assert not failures


def removed(folder: Folder, number: int) -> None:
    folder.remove(folder.named(str(number)))


async def test_all_in_order_are_the_messages(talk: Talk) -> None:
    for number in range(1, COUNT + 1):
        assert await talk.ask(b"RETR %d\r\n" % number) == reply_of(number)


async def test_what_was_made_needs_the_upstream_no_more(talk: Talk) -> None:
    await talk.ask(b"RETR 1\r\n")
    removed(talk.folder, 2)
    assert await talk.ask(b"RETR 2\r\n") == reply_of(2)


@pytest.mark.parametrize(
    "between", [b"NOOP\r\n", b"STAT\r\n", b"DELE 1\r\n", b"UIDL 2\r\n", b"LIST\r\n", b"x\r\n"]
)
async def test_what_does_not_move_may_come_between(talk: Talk, between: bytes) -> None:
    await talk.ask(b"RETR 1\r\n", between)
    removed(talk.folder, 2)
    assert await talk.ask(b"RETR 2\r\n") == reply_of(2)


async def test_a_message_that_is_marked_as_deleted_is_refused(talk: Talk) -> None:
    await talk.ask(b"RETR 1\r\n")
    assert (await talk.ask(b"DELE 2\r\n")).startswith(b"+OK")
    assert (await talk.ask(b"RETR 2\r\n")).startswith(b"-ERR message 2 is marked as deleted")
    await talk.ask(b"RSET\r\n")
    assert await talk.ask(b"RETR 2\r\n") == reply_of(2)


@pytest.mark.parametrize(
    "packets",
    [
        [b"retr 2\r\n"],
        [b"RETR 2\n"],
        [b"RETR  2\r\n"],
        [b"RE", b"TR 2\r\n"],
        [b"RETR 2\r", b"\n"],
        [b"RETR 2\r\nRETR 3\r\n"],
        [b"NOOP\r\nRETR 2\r\n"],
    ],
)
async def test_other_ways_to_say_it_have_the_same_answer(talk: Talk, packets: list[bytes]) -> None:
    await talk.ask(b"RETR 1\r\n")
    assert reply_of(2) in await talk.ask(*packets)
    assert await talk.ask(b"RETR 4\r\n") == reply_of(4)


async def test_the_end_of_a_longer_line_is_no_command(talk: Talk) -> None:
    await talk.ask(b"RETR 1\r\n")
    assert (await talk.ask(b"NOOP ", b"RETR 2\r\n")) == b"-ERR NOOP takes no argument\r\n"
    assert (await talk.ask(b"x" * 20_000, b"RETR 2\r\n")).startswith(b"-ERR a line may have")
    assert await talk.ask(b"RETR 2\r\n") == reply_of(2)


async def test_what_was_not_asked_for_is_not_retrieved(talk: Talk) -> None:
    await talk.ask(b"RETR 1\r\n")
    assert await talk.ask(b"LAST\r\n") == b"+OK 1\r\n"
    await talk.ask(b"QUIT\r\n")
    assert [message.seen for message in talk.folder.messages] == [True] + [False] * (COUNT - 1)


async def test_what_was_asked_for_is_retrieved_once(talk: Talk) -> None:
    await talk.ask(b"RETR 1\r\n", b"RETR 2\r\n")
    assert await talk.ask(b"LAST\r\n") == b"+OK 2\r\n"
    await talk.ask(b"QUIT\r\n")
    assert [message.seen for message in talk.folder.messages[:3]] == [True, True, False]


@pytest.mark.parametrize("jump", [b"TOP 4 0\r\n", b"RETR 4\r\n"])
async def test_a_client_that_jumps_is_expected_elsewhere(talk: Talk, jump: bytes) -> None:
    await talk.ask(b"RETR 1\r\n", jump)
    removed(talk.folder, 2)
    assert (await talk.ask(b"RETR 2\r\n")).startswith(b"-ERR")


async def test_so_is_one_that_jumps_to_what_is_not_there(talk: Talk) -> None:
    await talk.ask(b"RETR 1\r\n")
    removed(talk.folder, 5)
    assert (await talk.ask(b"RETR 5\r\n")).startswith(b"-ERR")
    removed(talk.folder, 2)
    assert (await talk.ask(b"RETR 2\r\n")).startswith(b"-ERR")


async def test_a_client_that_leaves_at_once_is_expected_nowhere(talk: Talk) -> None:
    await talk.ask_and_leave(b"RETR 1\r\n")


async def test_after_quit_nothing_is_given(talk: Talk) -> None:
    await talk.ask(b"RETR 1\r\n")
    assert await talk.ask(b"QUIT\r\n", b"RETR 2\r\n") == b"+OK bye\r\n"


async def test_a_large_message_is_not_held_twice(talk: Talk) -> None:
    talk.folder.named("2").octets = large = b"Subject: 2\r\n\r\n" + b"x" * FORESEEN_OCTETS + b"\r\n"
    await talk.ask(b"RETR 1\r\n")
    assert large in await talk.ask(b"RETR 2\r\n")
    assert await talk.ask(b"RETR 1\r\n") == reply_of(1)
    removed(talk.folder, 2)
    assert (await talk.ask(b"RETR 2\r\n")).startswith(b"-ERR")
