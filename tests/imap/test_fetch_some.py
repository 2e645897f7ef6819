"""Several messages in one answer: usual ones and odd ones, however they are cut into packets."""

import pytest

from gateway.imap.bodies import fetch_some
from tests.imap.wire import Scripted, every_cut

USUAL = b"* 1 FETCH (UID 11 BODY[] {3}\r\none)\r\n"
THREE = USUAL + b"* 2 FETCH (UID 12 BODY[] {5}\r\na)\r\nb)\r\n* 3 FETCH (UID 13 BODY[] {1}\r\n3)\r\n"
DONE = b"GW1 OK done\r\n"


def fetched(*pieces: bytes, octets: int | None = None) -> list[tuple[int, bytes]]:
    return list(fetch_some(Scripted(*pieces), (11, 12, 13), octets))


def test_packets_may_end_anywhere() -> None:
    for pieces in every_cut(THREE + DONE):
        assert fetched(*pieces) == [(11, b"one"), (12, b"a)\r\nb"), (13, b"3")]


@pytest.mark.parametrize(
    ("odd", "makes"),
    [
        (b"* 2 FETCH (FLAGS (\\Seen) UID 12 BODY[] {3}\r\ntwo)\r\n", [(12, b"two")]),
        (b"* 2 FETCH (UID 12 BODY[] {3}\r\ntwo FLAGS (\\Seen))\r\n", [(12, b"two")]),
        (b"* 2 FETCH (BODY[] {3}\r\ntwo UID 12)\r\n", [(12, b"two")]),
        (b"* 2 fetch (uid 12 body[] {3}\r\ntwo)\r\n", [(12, b"two")]),
        (b'* 2 FETCH (UID 12 BODY[] "two")\r\n', [(12, b"two")]),
        (b"* 2 FETCH (UID 12 BODY[] NIL)\r\n", []),
        (b"* 2 FETCH (UID 12 BODY[] {0}\r\n)\r\n", []),
        (b"* 2 FETCH (UID 12 BODY[]<0> {3}\r\ntwo)\r\n", []),
        (b"* 2 FETCH (UID 12 BODY[HEADER] {3}\r\ntwo)\r\n", []),
        (b"* 2 FETCH (UID 12)\r\n* 5 EXISTS\r\n* 1 EXPUNGE\r\n", []),
        (b"* OK [ALERT] * 9 FETCH (UID 9 BODY[] {1} now\r\n", []),
    ],
)
def test_an_odd_answer_among_usual_ones_is_read_for_itself(odd: bytes, makes: list[tuple[int, bytes]]) -> None:
    one = [(11, b"one")]
    assert fetched(USUAL + odd + USUAL + DONE) == one + makes + one
    assert fetched(odd + USUAL + odd + DONE) == makes + one + makes


def test_the_beginning_of_a_message_is_called_by_its_range_or_whole() -> None:
    whole, beginning = b"* 1 FETCH (UID 11 BODY[] {3}\r\none)\r\n", b"* 2 FETCH (UID 12 BODY[]<0> {3}\r\ntwo)\r\n"
    assert fetched(whole + beginning + whole + beginning + DONE, octets=3) == [(11, b"one"), (12, b"two")] * 2
