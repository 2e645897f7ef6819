"""Bodies: line ends repaired, dots stuffed, TOP cut; the same whatever blocks the message comes in."""

import re
from collections.abc import Iterable, Iterator
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.pop3 import BodyEncoder, encode_message
from tests.pop3.reference import Expected, expected


def unstuffed(encoded: bytes) -> bytes:
    """What a client makes of it."""
    lines = encoded.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])


def encoded(blocks: Iterable[bytes], top: int | None = None) -> tuple[bytes, BodyEncoder]:
    encoder = BodyEncoder(top)
    out = b"".join(map(encoder.feed, blocks))
    return out + encoder.finish(), encoder


def partitions(message: bytes) -> Iterator[list[bytes]]:
    """Every way to cut it."""
    for cuts in product([False, True], repeat=max(len(message) - 1, 0)):
        blocks, begin = [], 0
        for at, cut in enumerate(cuts, 1):
            if cut:
                blocks.append(message[begin:at])
                begin = at
        yield [*blocks, message[begin:]]


BITS = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b".", b"..", b"\r\n.\r\n", b"\0", b"a", b"\xff", b"Subject: x", b" "]
)


@st.composite
def even_lines(draw: st.DrawFn) -> bytes:
    """Lines of one length, as base64 has them, but for an octet here or there."""
    line = draw(st.text("ab.", max_size=4)).encode() + b"\r\n"
    message = bytearray(line * draw(st.integers(0, 8)))
    for at in draw(st.lists(st.integers(0, max(len(message) - 1, 0)), max_size=2)) if message else ():
        message[at : at + draw(st.integers(0, 1))] = draw(st.sampled_from([b"\r", b"\n", b".", b"\0", b"a", b""]))
    return bytes(message) + draw(st.sampled_from([b"", b"a", b"\r"]))


MESSAGES = st.one_of(st.lists(BITS, max_size=24).map(b"".join), st.binary(max_size=60), even_lines())
TOPS = st.one_of(st.none(), st.integers(0, 6), st.just(10**17))


@settings(max_examples=300, deadline=None)
@given(MESSAGES, TOPS, st.data())
@example(b"a\r\n\r", None, None)
@example(b"\n\r", 0, None)
@example(b"\r\na\n\r\r", None, None)
@example(b"A: b\r\n\r\none\r\ntwo\r", 1, None)
@example(b".a\r\n" * 70, None, None)
@example(b".\r\n" * 65, None, None)
@example(b"a\r\n.b\r\n\n.c\r\n", None, None)
def test_it_equals_the_reference(message: bytes, top: int | None, data: st.DataObject | None) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=8))) if data else []
    blocks = [message[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    out, encoder = encoded(blocks, top)
    assert Expected(out, encoder.octets) == expected(message, top)
    if top is None:
        assert Expected(*encode_message(message)) == expected(message, None)


@settings(max_examples=150, deadline=None)
@given(MESSAGES)
def test_a_client_gets_the_repaired_message_back(message: bytes) -> None:
    out, encoder = encoded([message])
    assert out == b".\r\n" or out.endswith(b"\r\n.\r\n")
    assert out.count(b"\r\n.\r\n") <= 1
    assert b"\0" not in out
    assert not re.search(rb"(?<!\r)\n", out)
    assert len(unstuffed(out)) == encoder.octets


@pytest.mark.parametrize(
    "message",
    [b"\r\n.\r\n.\n.", b".\r\n\r\r\n.", b"a\r\n\r\n.b\n", b"\r\r\r\n\n\r", b"\n\n..\r.", b"A:\n\n1\n2\n.3"],
)
@pytest.mark.parametrize("top", [None, 0, 1, 2])
def test_no_boundary_between_blocks_makes_a_difference(message: bytes, top: int | None) -> None:
    whole, _ = encoded([message], top)
    assert {encoded(blocks, top)[0] for blocks in partitions(message)} == {whole}


@pytest.mark.parametrize(
    ("message", "out"),
    [
        (b"", b".\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a\nb\n", b"a\r\nb\r\n.\r\n"),
        (b"a\r\nb\n", b"a\r\nb\r\n.\r\n"),
        (b"a\rb\r\n", b"a\rb\r\n.\r\n"),
        (b"a\r", b"a\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n..\r\n", b"..\r\n...\r\n.\r\n"),
        (b"\n.\n", b"\r\n..\r\n.\r\n"),
        (b"a.\r.b", b"a.\r.b\r\n.\r\n"),
        (b"a\0b\r\n", b"a\x80b\r\n.\r\n"),
        ("für\r\n".encode(), "für\r\n".encode() + b".\r\n"),
    ],
)
def test_examples(message: bytes, out: bytes) -> None:
    assert encoded([message])[0] == out


@pytest.mark.parametrize(
    ("top", "out"),
    [
        (0, b"A: b\r\n\r\n.\r\n"),
        (1, b"A: b\r\n\r\none\r\n.\r\n"),
        (2, b"A: b\r\n\r\none\r\n\r\n.\r\n"),
        (3, b"A: b\r\n\r\none\r\n\r\n..three\r\n.\r\n"),
        (9, b"A: b\r\n\r\none\r\n\r\n..three\r\nfour\r\n.\r\n"),
    ],
)
def test_top_is_the_header_the_blank_line_and_so_many_lines(top: int, out: bytes) -> None:
    assert encoded([b"A: b\n\none\n\n.three\nfour"], top)[0] == out


def test_a_message_without_a_blank_line_is_all_header() -> None:
    assert encoded([b"A: b\r\nC: d"], 0)[0] == b"A: b\r\nC: d\r\n.\r\n"


def test_top_says_when_no_further_block_can_add_anything() -> None:
    encoder = BodyEncoder(1)
    assert [(encoder.feed(block), encoder.done) for block in (b"A: b\r\n\r", b"\no", b"ne\r\ntwo", b"three")] == [
        (b"A: b\r\n", False),
        (b"\r\no", False),
        (b"ne\r\n", True),
        (b"", True),
    ]
    assert encoder.octets == 13
    assert not BodyEncoder().done


def test_a_whole_message_is_never_done_before_its_end() -> None:
    _, encoder = encoded([b"a\r\n\r\nb\r\n"])
    assert not encoder.done


def test_a_block_of_dot_lines_at_most_grows_by_a_third() -> None:
    block = b"\r\n." * 87_381
    assert len(BodyEncoder().feed(block)) <= len(block) * 4 // 3 + 1
