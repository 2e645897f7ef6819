"""Our reading of IMAP's responses, line by line."""

import pytest

from gateway.errors import (
    BadCredentials,
    GatewayError,
    MaildropInUse,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from gateway.imap.responses import Count, Data, Done, Fetch, Literal, Responses, Value
from gateway.imap.transport import LINE_LIMIT
from tests.imap.wire import Scripted


def responses(*pieces: bytes) -> Responses:
    return Responses(Scripted(*pieces), b"T")


def items(line: bytes) -> list[tuple[str, Value]]:
    """The items of a FETCH; literals are taken off the stream."""
    transport = Scripted(line)
    made = Responses(transport, b"T")
    fetch = made.next()
    assert isinstance(fetch, Fetch)
    found: list[tuple[str, Value]] = []
    for name, value in made.items(fetch):
        found.append((name, transport.read(value.octets) if isinstance(value, Literal) else value))
    return found


def error_of(line: bytes) -> type[GatewayError]:
    with pytest.raises(GatewayError) as caught:
        responses(line).next()
    return type(caught.value)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"T OK done\r\n", b"done"),
        (b"T OK\r\n", b""),
        (b"T ok done\n", b"done"),
        (b"T OK [X] done\r\n", b"[X] done"),
    ],
)
def test_the_tagged_ok_ends_the_answer(line: bytes, text: bytes) -> None:
    assert responses(line).next() == Done(text)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (b"* 3 EXISTS\r\n", Count(3, "EXISTS")),
        (b"* 0 RECENT\r\n", Count(0, "RECENT")),
        (b"* 12 expunge\r\n", Count(12, "EXPUNGE")),
    ],
)
def test_numbers_of_messages_are_told(line: bytes, count: Count) -> None:
    assert responses(line).next() == count


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (b"* OK still here\r\n", Data("OK", b"still here")),
        (b"* OK [THROTTLED] slowly\r\n", Data("OK", b"[THROTTLED] slowly")),
        (b"* NO [ALERT] disk is nearly full\r\n", Data("NO", b"[ALERT] disk is nearly full")),
        (b"* BAD what\r\n", Data("BAD", b"what")),
        (b"* flags (\\Seen \\Deleted)\r\n", Data("FLAGS", b"(\\Seen \\Deleted)")),
        (b"* SEARCH 1 2 3\r\n", Data("SEARCH", b"1 2 3")),
        (b"* SEARCH\r\n", Data("SEARCH", b"")),
        (b"* CAPABILITY IMAP4rev1\n", Data("CAPABILITY", b"IMAP4rev1")),
        (b'* LIST () "/" {5}\r\nT OK!\r\n', Data("LIST", b'() "/" {5}')),
        (b"* LIST () {1}\r\n/ {5+}\r\nINBOX\r\n", Data("LIST", b"() {1}")),
        (b"* OK\r\n", Data("OK", b"")),
    ],
)
def test_other_untagged_data_is_told_without_its_literals(line: bytes, data: Data) -> None:
    made = responses(line, b"T OK done\r\n")
    assert made.next() == data
    assert made.next() == Done(b"done")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"T NO no\r\n", UpstreamError),
        (b"T NO [LIMIT] no\r\n", UpstreamRefused),
        (b"T NO [SERVERBUG] no\r\n", UpstreamRefused),
        (b"T NO [INUSE] no\r\n", MaildropInUse),
        (b"T NO [EXPIRED] no\r\n", BadCredentials),
        (b"T NO [NOPERM] no\r\n", UpstreamUnusable),
        (b"T NO Server busy\r\n", UpstreamRefused),
        (b"T BAD what\r\n", UpstreamError),
        (b"T PREAUTH what\r\n", UpstreamError),
        (b"T\r\n", UpstreamError),
        (b"T \r\n", UpstreamError),
        (b"TT OK done\r\n", UpstreamError),
        (b"* BYE session expired\r\n", UpstreamUnreachable),
        (b"* bye\r\n", UpstreamUnreachable),
        (b"", UpstreamUnreachable),
        (b"T OK do", UpstreamUnreachable),
        (b"+ go ahead\r\n", UpstreamError),
        (b"\r\n", UpstreamError),
        (b"HTTP/1.1 400 Bad Request\r\n", UpstreamError),
        (b"*\r\n", UpstreamError),
        (b"* \r\n", UpstreamError),
        (b"* 7\r\n", UpstreamError),
        (b"* 7 FETCH(UID 7)\r\n", UpstreamError),
        (b"* -1 EXISTS\r\n", UpstreamError),
        (b"* 7 EXISTS now\r\n", UpstreamError),
    ],
)
def test_anything_else_is_an_error(line: bytes, kind: type[GatewayError]) -> None:
    assert error_of(line) is kind


def test_a_line_without_end_is_an_error_and_not_a_lot_of_memory() -> None:
    transport = Scripted(*[b"* OK " + b"x" * 60_000] * 100)
    with pytest.raises(ConnectionError):
        Responses(transport, b"T").next()
    assert len(transport.held) < 3 * LINE_LIMIT


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"* 1 FETCH (UID 7)\r\n", [("UID", b"7")]),
        (b"* 1 FETCH (UID 7 RFC822.SIZE 100)\r\n", [("UID", b"7"), ("RFC822.SIZE", b"100")]),
        (b"* 1 fetch (uid 7 rfc822.size 100)\r\n", [("UID", b"7"), ("RFC822.SIZE", b"100")]),
        (b"* 1 FETCH ( UID 7 )\r\n", [("UID", b"7")]),
        (b"* 1 FETCH ()\r\n", []),
        (b"* 1 FETCH (BODY[] NIL UID 7)\r\n", [("BODY[]", None), ("UID", b"7")]),
        (b"* 1 FETCH (BODY[] nil)\r\n", [("BODY[]", None)]),
        (b'* 1 FETCH (BODY[] "")\r\n', [("BODY[]", b"")]),
        (b'* 1 FETCH (BODY[] "a \\"b\\" \\\\ )")\r\n', [("BODY[]", b'a "b" \\ )')]),
        (b"* 1 FETCH (BODY[] {3}\r\nabc)\r\n", [("BODY[]", b"abc")]),
        (b"* 1 FETCH (BODY[] ~{3}\r\na\0c)\r\n", [("BODY[]", b"a\0c")]),
        (b"* 1 FETCH (BODY[] {3+}\r\nabc)\r\n", [("BODY[]", b"abc")]),
        (b"* 1 FETCH (BODY[] {0}\r\n)\r\n", [("BODY[]", b"")]),
        (b"* 1 FETCH (BODY[]<0> {3}\r\n)\r\n UID 7)\r\n", [("BODY[]<0>", b")\r\n"), ("UID", b"7")]),
        (
            b"* 1 FETCH (BODY[] {1}\r\na RFC822 {1}\r\nb UID 7)\r\n",
            [("BODY[]", b"a"), ("RFC822", b"b"), ("UID", b"7")],
        ),
        (b"* 1 FETCH (FLAGS () UID 7)\r\n", [("FLAGS", None), ("UID", b"7")]),
        (b"* 1 FETCH (FLAGS (\\Seen $x) UID 7)\r\n", [("FLAGS", None), ("UID", b"7")]),
        (b"* 1 FETCH (MODSEQ (65) UID 7)\r\n", [("MODSEQ", None), ("UID", b"7")]),
        (b'* 1 FETCH (X ((("a)" NIL) "\\"(") b) UID 7)\r\n', [("X", None), ("UID", b"7")]),
        (b"* 1 FETCH (X (a {4}\r\n))\r\n (b)) UID 7)\r\n", [("X", None), ("UID", b"7")]),
        (
            b"* 1 FETCH (BODY[HEADER.FIELDS (A B)] {1}\r\nx UID 7)\r\n",
            [("BODY[HEADER.FIELDS (A B)]", b"x"), ("UID", b"7")],
        ),
        (b"* 1 FETCH (X-GM-MSGID 1278 UID 7)\r\n", [("X-GM-MSGID", b"1278"), ("UID", b"7")]),
    ],
)
def test_the_items_of_a_fetch(line: bytes, found: list[tuple[str, Value]]) -> None:
    assert items(line) == found


@pytest.mark.parametrize(
    "line",
    [
        b"* 1 FETCH\r\n",
        b"* 1 FETCH (\r\n",
        b"* 1 FETCH (UID\r\n",
        b"* 1 FETCH (UID \r\n",
        b"* 1 FETCH (UID )\r\n",
        b"* 1 FETCH (UID 7\r\n",
        b"* 1 FETCH (FLAGS (\\Seen\r\n",
        b'* 1 FETCH (FLAGS ("a))\r\n',
        b'* 1 FETCH (BODY[] "a\r\nb")\r\n',
        b"* 1 FETCH (BODY[] {x}\r\nabc)\r\n",
        b"* 1 FETCH (BODY[] {3} abc)\r\n",
        b"* 1 FETCH (BODY[] {3}\r\nabc",
        b"* 1 FETCH (BODY[] {9}\r\nabc)\r\n",
        b"* 1 FETCH (X ({9}\r\nabc)\r\n",
    ],
)
def test_a_fetch_outside_the_grammar_is_an_error(line: bytes) -> None:
    with pytest.raises((UpstreamError, ConnectionError)):
        items(line)


def test_deeply_nested_lists_are_passed_over() -> None:
    deep = b"(" * 20_000 + b")" * 20_000
    assert items(b"* 1 FETCH (X " + deep + b" UID 7)\r\n") == [("X", None), ("UID", b"7")]
