"""Replies on the wire."""

import base64
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pop3 import Offer, Reply, capabilities, challenge, err, ok, rows
from gateway.pop3.replies import ROWS_AT_ONCE, STATUS_LINE_LIMIT, TERMINATOR


@given(
    st.sampled_from(["+OK", "-ERR"]), st.text(max_size=600), st.sampled_from(["", "AUTH", "SYS/TEMP", "IN-USE"])
)
def test_no_text_breaks_out_of_the_status_line(status: str, text: str, code: str) -> None:
    head = Reply(status, text, code).head()
    assert head.endswith(b"\r\n")
    assert all(0x20 <= octet <= 0x7E for octet in head[:-2])
    assert len(head) <= STATUS_LINE_LIMIT
    assert head.startswith(status.encode() + (f" [{code}] ".encode() if code else b""))


def test_a_status_line_uses_all_512_octets_and_no_more() -> None:
    assert len(ok("x" * 506).head()) == 512
    assert ok("x" * 507).head() == ok("x" * 506).head()


@pytest.mark.parametrize(
    ("reply", "head"),
    [
        (ok(), b"+OK\r\n"),
        (ok("2 320"), b"+OK 2 320\r\n"),
        (err("no such message"), b"-ERR no such message\r\n"),
        (err("try later", "SYS/TEMP"), b"-ERR [SYS/TEMP] try later\r\n"),
        (err("a\r\n+OK b"), b"-ERR a??+OK b\r\n"),
        (err("für"), b"-ERR f?r\r\n"),
        (challenge(b""), b"+ \r\n"),
        (challenge(b"Username:"), b"+ VXNlcm5hbWU6\r\n"),
    ],
)
def test_status_lines(reply: Reply, head: bytes) -> None:
    assert reply.head() == head
    assert list(reply.encode()) == [head]


@given(st.binary(max_size=9000))
def test_a_challenge_is_as_long_as_it_must_be(octets: bytes) -> None:
    assert challenge(octets).head() == b"+ " + base64.b64encode(octets) + b"\r\n"


def test_a_multi_line_reply_ends_with_a_dot() -> None:
    assert b"".join(ok("two", lines=["a", "b"]).encode()) == b"+OK two\r\na\r\nb\r\n.\r\n"
    assert b"".join(ok("none", lines=[]).encode()) == b"+OK none\r\n.\r\n"


@pytest.mark.parametrize("count", [0, 1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 12_345])
def test_rows_are_lines_of_numbers(count: int) -> None:
    numbers, uids = range(1, count + 1), array("I", range(2**32 - count, 2**32))
    whole = b"".join(ok("x", lines=rows("%d 0000000a%08x", numbers, uids)).encode())
    lines = [f"{number} 0000000a{uid:08x}\r\n" for number, uid in zip(numbers, uids, strict=True)]
    assert whole.decode() == "".join(["+OK x\r\n", *lines, ".\r\n"])


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("count", [1999, 2000, 2001, 100_000])
def test_a_long_reply_comes_in_blocks_that_are_not_large(count: int, at_once: bool) -> None:
    one_by_one = (f"{number} 1234567890abcdef" for number in range(count))
    lines = rows("%d 12345678%08x", range(count), range(count)) if at_once else one_by_one
    blocks = list(ok(lines=lines).encode())
    whole = b"".join(blocks)
    assert whole.endswith(b"\r\n" + TERMINATOR)
    assert whole.count(b"\r\n") == count + 2
    assert max(map(len, blocks)) < 65_536


# CAPA


def test_capa_before_tls_from_afar_offers_stls_and_no_way_to_send_a_password() -> None:
    lines = list(capabilities(Offer(tls_available=True, user_pass=False)))
    assert "STLS" in lines
    assert not [line for line in lines if line.startswith(("USER", "SASL"))]


def test_capa_always_has_uidl_top_and_the_response_codes() -> None:
    for offer in (Offer(), Offer(authorized=True), Offer(tls_available=True, user_pass=False)):
        assert {"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"} <= set(capabilities(offer))


def test_capa_under_tls_offers_every_login_and_stls_no_more() -> None:
    lines = list(capabilities(Offer(mechanisms=("PLAIN", "LOGIN"), login_delay=60)))
    assert {"USER", "SASL PLAIN LOGIN", "LOGIN-DELAY 60"} <= set(lines)
    assert "STLS" not in lines


def test_capa_after_login_does_not_offer_stls() -> None:
    assert "STLS" not in list(capabilities(Offer(authorized=True, tls_available=True)))
