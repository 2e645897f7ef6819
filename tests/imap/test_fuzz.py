"""Whatever a server says, it ends: in a result, or in one error of ours."""

import contextlib
import re
import socket
import threading
from array import array
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError, UpstreamSilent
from gateway.imap import commit
from gateway.imap.bodies import BodyReader
from gateway.imap.client import Client
from gateway.imap.faults import translated
from gateway.imap.link import say_goodbye
from gateway.imap.listing import look, take_snapshot
from gateway.imap.login import log_in
from gateway.imap.selection import Selection
from gateway.imap.transport import Transport
from gateway.imap.uid_set import SET_MESSAGES
from gateway.maildrop import CommitPlan, Listing, OnDelete, Policy
from gateway.maildrop.listing import EVERYTHING
from gateway.ports import Account, Endpoint, TlsMode, forget_copied
from gateway.sasl import Credentials, Secret
from tests.imap.wire import SECONDS, far_end, read_all

WORDS = st.sampled_from(
    [
        *(b"*", b"+", b"(", b")", b'"', b"\\", b" ", b"\r\n", b"\n", b"\r", b"\0", b"\xff", b"[", b"]", b"<0>"),
        *(b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH", b"CAPABILITY", b"IMAP4rev1", b"FETCH", b"EXISTS", b"EXPUNGE"),
        *(b"UID", b"BODY[]", b"RFC822.SIZE", b"FLAGS", b"NIL", b"SEARCH", b"LIST", b"VANISHED", b"7", b"1", b"0"),
        *(b"{5}\r\n", b"{0}\r\n", b"~{3}\r\n", b"{99999999999}\r\n", b"{1+}\r\n", b'"hello"', b"hello", b"-1"),
        *(b"4294967296", b"9" * 30, b"[UIDVALIDITY 9]", b"[PERMANENTFLAGS (\\Deleted)]", b"[READ-ONLY]"),
    ]
)
LINES = st.sampled_from(
    [
        b"* OK [CAPABILITY IMAP4rev1 UIDPLUS] ready\r\n",
        b"* OK ready\r\n",
        b"* BYE gone\r\n",
        b"* PREAUTH hello\r\n",
        b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n",
        b"* CAPABILITY IMAP4rev1\r\n",
        b"* 1 EXISTS\r\n* OK [UIDVALIDITY 9] valid\r\n",
        b"* 2 EXISTS\r\n",
        b"* 1 FETCH (UID 7 RFC822.SIZE 5)\r\n",
        b"* 1 FETCH (RFC822.SIZE 5 UID 7)\r\n",
        b"* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n",
        b"* 1 FETCH (BODY[] {5}\r\nhello UID 7)\r\n",
        b"* 1 FETCH (UID 7 BODY[] NIL)\r\n",
        b"* 1 FETCH (FLAGS (\\Seen))\r\n",
        b"* SEARCH 1 7\r\n",
        b"* SEARCH\r\n",
        b'* ESEARCH (TAG "GW3") UID ALL 1:7\r\n',
        b"* OK [UIDNEXT 8] next\r\n",
        b"* 1 EXPUNGE\r\n",
        b"+ \r\n",
    ]
)
TAGGED = st.builds(
    lambda tag, status, text: tag + b" " + status + text + b"\r\n",
    st.sampled_from([b"GW1", b"GW1", b"GW2", b"GW2", b"GW3", *(b"@%d" % number for number in range(10))]),
    st.sampled_from([b"OK", b"OK", b"OK", b"NO", b"BAD"]),
    st.sampled_from([b" done", b"", b" [READ-ONLY] done", b" [LIMIT] no", b" [CAPABILITY IMAP4rev1] in"]),
)
SOUP = st.lists(st.one_of(WORDS, WORDS, LINES, TAGGED, st.binary(max_size=12)), max_size=25).map(b"".join)


def ends(work: Callable[[], object]) -> None:
    """In a result or in an error of ours; the stream ends, so that nothing is waited for."""
    try:
        with translated("fuzzing"):
            work()
    except UpstreamSilent:
        pytest.fail("it waited for a server that had said its last word")
    except GatewayError:
        pass


@settings(max_examples=250, deadline=None)
@given(SOUP)
@example(b"* 1 FETCH (X " + b"(" * 50_000)
@example(b"* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\nGW1 OK x\r\n")
def test_any_octets_for_a_body(octets: bytes) -> None:
    with far_end(octets) as transport:
        ends(lambda: read_all(BodyReader(transport, 7, 5)))


@settings(max_examples=250, deadline=None)
@given(SOUP)
def test_any_octets_for_a_listing(octets: bytes) -> None:
    with far_end(octets) as transport:
        ends(lambda: Selection(transport, "INBOX", SECONDS).select(EVERYTHING))


@settings(max_examples=250, deadline=None)
@given(SOUP, st.booleans())
@example(b'* ESEARCH (TAG "GW3") UID ALL 1:4294967295\r\nGW3 OK x\r\n', True)
@example(b"* SEARCH " + b"9" * 5000 + b"\r\nGW3 OK x\r\n", False)
def test_any_octets_for_all_uids(octets: bytes, compact: bool) -> None:
    with far_end(SELECTED + LISTED + octets) as transport:
        selection = Selection(transport, "INBOX", SECONDS)
        selection.select(EVERYTHING)
        ends(lambda: selection.search(compact=compact))


@contextlib.contextmanager
def server(octets: bytes) -> Iterator[Transport]:
    """Sends a first line, waits a little for the client's, and sends the rest: `@3` is imaplib's fourth tag."""
    near, far = socket.socketpair()
    first, _, rest = octets.partition(b"\n")

    def serve() -> None:
        with far, contextlib.suppress(OSError):
            far.sendall(first + b"\n")
            far.settimeout(0.2)
            asked = b""
            with contextlib.suppress(TimeoutError):
                asked = far.recv(65_536)
            tag = re.match(rb"([A-P]+)\d+ ", asked)
            far.settimeout(SECONDS)
            far.sendall(re.sub(rb"@(?=\d )", tag[1], rest) if tag else rest)
            far.shutdown(socket.SHUT_WR)
            while far.recv(65_536):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    transport = Transport(near)
    transport.allow(SECONDS)
    try:
        yield transport
    finally:
        transport.close()
        thread.join()


KNOWN = Listing(9, 8, array("I", range(1, 41)), array("Q", [5] * 40))
ANN = Account(
    Endpoint("h", 143, TlsMode.NONE),
    Credentials("ann", Secret('sec"ret')),
    "INBOX",
    Policy(OnDelete.EXPUNGE, "\\Seen"),
)


def session(transport: Transport, known: Listing | None = None) -> None:
    """A whole one."""
    client = Client(transport, ANN.endpoint)
    try:
        log_in(client, ANN.credentials)
        look(client, "INBOX", SECONDS, known)
        commit.delete(client, CommitPlan(9, (7,), (8,)), ANN, SECONDS, forget_copied)
        commit.mark_retrieved(client, CommitPlan(9, (7,), (8,)), ANN.policy, SECONDS)
    finally:
        say_goodbye(client)


GREETING = b"* OK [CAPABILITY IMAP4rev1] ready\r\n"
LOGGED_IN = b"+ \r\n+ \r\n@0 OK [CAPABILITY IMAP4rev1] in\r\n"
SELECTED = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 9] valid\r\nGW1 OK [READ-WRITE] done\r\n"
LISTED = b"* 1 FETCH (UID 7 RFC822.SIZE 5)\r\nGW2 OK done\r\n"
STORED = b"* SEARCH\r\n@1 OK done\r\n@2 OK done\r\n"  # nobody else flagged any


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [
            b"",
            GREETING,
            GREETING + LOGGED_IN,
            GREETING + LOGGED_IN + SELECTED,
            GREETING + LOGGED_IN + SELECTED + LISTED,
            GREETING + LOGGED_IN + SELECTED + LISTED + STORED,
        ]
    ),
    SOUP,
    st.sampled_from([None, KNOWN]),
)
@example(
    GREETING + LOGGED_IN + SELECTED + LISTED + STORED, b"* SEARCH 7 " + b"(" * 5000 + b"\r\n@3 OK done\r\n", None
)
@example(GREETING + LOGGED_IN, b"* OK [PERMANENTFLAGS " + b"(" * 5000 + b"]\r\nGW1 OK done\r\n", None)
def test_any_octets_for_a_whole_session(begun: bytes, octets: bytes, known: Listing | None) -> None:
    with server(begun + octets) as transport:
        ends(lambda: session(transport, known))


def test_the_session_that_the_fuzzer_begins_with_gets_to_its_end() -> None:
    rest = (
        b"* SEARCH 7\r\n@3 OK done\r\n@4 OK done\r\n* SEARCH\r\n@5 OK done\r\n@6 OK done\r\n* BYE\r\n@7 OK bye\r\n"
    )
    with server(GREETING + LOGGED_IN + SELECTED + LISTED + STORED + rest) as transport:
        session(transport)


def test_an_expunge_may_tell_of_as_many_messages_as_a_command_may_name() -> None:
    """A limit on what imaplib keeps must not stop a QUIT that empties a large mailbox."""
    uids = tuple(range(1, SET_MESSAGES + 1))
    capable = LOGGED_IN.replace(b"IMAP4rev1", b"IMAP4rev1 UIDPLUS")
    row = b"* 1 EXPUNGE\r\n* %d EXISTS\r\n" % len(uids)
    told = b"@1 OK done\r\n" + row * len(uids) + b"@2 OK done\r\n* SEARCH\r\n@3 OK done\r\n"
    with server(GREETING + capable + SELECTED + LISTED + told) as transport:
        client = Client(transport, ANN.endpoint)
        log_in(client, ANN.credentials)
        take_snapshot(client, "INBOX", SECONDS)
        commit.delete(client, CommitPlan(9, uids), ANN, SECONDS, forget_copied)
        assert transport.readline() == b""  # all that the server said was read, and taken for success
