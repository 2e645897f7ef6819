"""The body stream: RETR succeeds only if a body came, whole, and for the message that was asked for."""

from itertools import permutations

import pytest

from gateway.errors import GatewayError, MessageGone, UpstreamError, UpstreamRefused, UpstreamUnreachable
from gateway.imap.bodies import BodyReader
from gateway.imap.transport import BLOCK_OCTETS
from tests.imap.wire import Scripted, every_cut, far_end, message, outcome, read_all

OK = b"GW1 OK done\r\n"
# A message of five octets, as asked for: UID 7.
GOOD = b"* 3 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        GOOD + OK,
        b"* 3 FETCH (BODY[] {5}\r\nhello UID 7)\r\n" + OK,
        b"* 3 FETCH (BODY[] {5}\r\nhello UID 7 FLAGS (\\Seen))\r\n" + OK,
        b"* 3 FETCH (FLAGS (\\Seen) UID 7 BODY[] ~{5}\r\nhello)\r\n" + OK,
        b'* 3 FETCH (UID 7 BODY[] "hello")\r\n' + OK,
        b'* 3 FETCH (BODY[] "hello" UID 7)\r\n' + OK,
        b"* OK slow\r\n* 9 EXISTS\r\n" + GOOD + b"* 2 EXPUNGE\r\n* 3 FETCH (FLAGS (\\Seen))\r\n" + OK,
        b"* 3 FETCH (UID 7 FLAGS ())\r\n" + GOOD + OK,
        b"* 3 FETCH (UID 7 X {5}\r\nGW1 O BODY[] {5}\r\nhello Y {5}\r\nGW1 O)\r\n" + OK,
        b"* 2 FETCH (UID 6 BODY[] {5}\r\nwrong)\r\n" + GOOD + OK,
        b"* 3 FETCH (BODY[] NIL UID 7)\r\n" + GOOD + OK,
        GOOD + b"* 4 FETCH (UID 8 BODY[] {5}\r\nother)\r\n" + OK,
        GOOD + GOOD + OK,
    ],
)
def test_a_body_comes_whole_wherever_the_packets_end(answer: bytes) -> None:
    assert message([answer]) == b"hello"
    assert {outcome(pieces) for pieces in every_cut(answer)} == {b"hello"}


@pytest.mark.parametrize(
    "text", [b"GW1 OK done\r\n", b")\r\nGW1 OK\r\n", b"* BYE\r\n", b"{9}\r\n", b'"(\\', b"\0\xff"]
)
def test_no_text_of_a_message_is_taken_for_an_answer(text: bytes) -> None:
    answer = b"* 3 FETCH (UID 7 BODY[] {%d}\r\n%s)\r\n" % (len(text), text) + OK
    for pieces in every_cut(answer):
        assert message(pieces, listed=len(text)) == text


def test_nor_that_of_another_message_behind_it() -> None:
    text = b"GW1 OK x\r\n* 4 FETCH (UID 8 BODY[] {5}\r\nforge)\r\nGW1 OK y\r\n"
    other = b"* 4 FETCH (UID 9 BODY[] {%d}\r\n%s)\r\n" % (len(text), text)
    transport = Scripted(GOOD + other + OK)
    assert read_all(BodyReader(transport, 7, 5)) == b"hello"
    assert transport.readline() == b""  # nothing is left that the next command would read


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"* 3 FETCH (UID 7 BODY[] NIL)\r\n" + OK,
        b"* 3 FETCH (UID 7 BODY[] {0}\r\n)\r\n" + OK,
        b'* 3 FETCH (UID 7 BODY[] "")\r\n' + OK,
        b"* 3 FETCH (UID 7)\r\n" + OK,
        b"* 3 FETCH (FLAGS (\\Deleted))\r\n" + OK,
        b"* 3 FETCH (UID 7 FLAGS (\\Deleted))\r\n" + OK,
        b"* 2 FETCH (UID 6 BODY[] {5}\r\nwrong)\r\n" + OK,
        b"* 3 EXPUNGE\r\n" + OK,
        b"* 3 FETCH ()\r\n" + OK,
    ],
)
def test_no_body_is_a_message_that_is_gone(answer: bytes) -> None:
    assert {outcome(pieces) for pieces in every_cut(answer)} == {MessageGone}


def test_a_message_that_was_listed_as_empty_may_be_empty() -> None:
    for body in (b"{0}\r\n", b'""'):
        assert message([b"* 3 FETCH (UID 7 BODY[] %s)\r\n" % body + OK], listed=0) == b""


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"* 3 FETCH (UID 8 BODY[] {5}\r\nhello UID 8)\r\n" + OK, MessageGone),
        (b"* 3 FETCH (BODY[] {5}\r\nhello UID 8)\r\n" + OK, UpstreamError),
        (b"* 3 FETCH (BODY[] {5}\r\nhello)\r\n" + OK, UpstreamError),
        (b'* 3 FETCH (BODY[] "hello" UID 8)\r\n' + OK, UpstreamError),
        (b"* 3 FETCH (UID 7 BODY[] {5}\r\nhello)\r\nGW1 NO [SERVERBUG] failed\r\n", UpstreamRefused),
        (b"* 3 FETCH (UID 7 BODY[] {5}\r\nhello)\r\nGW1 NO failed\r\n", UpstreamError),
        (b"GW1 NO [UNAVAILABLE] later\r\n", UpstreamRefused),
        (b"GW1 BAD what\r\n", UpstreamError),
        (b"* BYE AccessTokenExpired\r\n", UpstreamUnreachable),
        (b"* 3 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n* BYE bye\r\n", UpstreamUnreachable),
        (b"* 3 FETCH (UID 7 BODY[] {6}\r\nhello)\r\n" + OK, UpstreamError),
        (b"* 3 FETCH (UID 7 BODY[] {4}\r\nhello)\r\n" + OK, UpstreamError),
        (b"* 3 FETCH (UID 7 BODY[] {99999999999}\r\nhello)\r\n" + OK, UpstreamUnreachable),
    ],
)
def test_another_message_or_half_a_one_is_an_error(answer: bytes, kind: type[GatewayError]) -> None:
    assert {outcome(pieces) for pieces in every_cut(answer)} == {kind}


@pytest.mark.parametrize("octets", range(len(GOOD + OK)))
def test_a_connection_that_ends_anywhere_is_unreachable(octets: int) -> None:
    assert outcome([(GOOD + OK)[:octets]]) is UpstreamUnreachable


def test_the_order_of_the_items_makes_no_difference() -> None:
    rows = [b"UID 7", b"BODY[] {5}\r\nhello", b"FLAGS (\\Seen)", b"X NIL"]
    for order in permutations(rows):
        assert message([b"* 3 FETCH (" + b" ".join(order) + b")\r\n" + OK]) == b"hello"


def test_it_asks_for_the_uid_and_peeks() -> None:
    whole, part = Scripted(GOOD + OK), Scripted(GOOD + OK)
    BodyReader(whole, 7, 5)
    BodyReader(part, 7, 5, 100)
    assert whole.sent == b"GW1 UID FETCH 7 (UID BODY.PEEK[])\r\n"
    assert part.sent == b"GW1 UID FETCH 7 (UID BODY.PEEK[]<0.100>)\r\n"


def test_a_large_message_comes_in_blocks_that_are_not_larger_than_256_kib() -> None:
    text = bytes(range(256)) * 8000
    answer = b"* 3 FETCH (UID 7 BODY[] {%d}\r\n%s)\r\n" % (len(text), text) + OK
    with far_end(answer) as transport:
        reader = BodyReader(transport, 7, len(text))
        blocks = [reader.open()]
        while not reader.finished:
            blocks.append(reader.read())
        assert len(transport.held) == 0
    assert b"".join(blocks) == text
    assert max(map(len, blocks)) <= BLOCK_OCTETS


def test_the_rest_of_a_body_can_be_thrown_away() -> None:
    size = BLOCK_OCTETS + 1  # no more than a block would be read whole at once
    body = b"x" * size
    transport = Scripted(b"* 3 FETCH (UID 7 BODY[] {%d}\r\nx" % size, body[2:], b"x)\r\n" + OK + b"* 1 EXISTS\r\n")
    reader = BodyReader(transport, 7, size)
    assert reader.open() == b"x"
    assert reader.left == size - 1
    reader.discard()
    assert reader.finished
    assert transport.readline() == b"* 1 EXISTS\r\n"
