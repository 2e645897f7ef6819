"""The fake server does just what it is told to do wrong."""

import re
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.faults import (
    Bye,
    Close,
    Deafen,
    Delay,
    Edit,
    EndlessLine,
    Hold,
    Insert,
    Preauth,
    ReadOnly,
    Retag,
    Say,
    Send,
    Stall,
    TagLast,
    Trickle,
)
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.imap_wire import Ending
from tests.fakes.raw_client import Client
from tests.fakes.row_faults import (
    Announce,
    BodyIs,
    BodyOf,
    FlagsOnly,
    Item,
    Literal8,
    Newest,
    NoRow,
    Order,
    Quoted,
    Renumber,
    Reverse,
    Twice,
    WholeBody,
    Without,
)
from tests.servers.tls import make

ONE = b"Subject: one\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\n\r\nsecond\r\n"


def test_when_a_rule_applies(fake: FakeImap, selected: Client) -> None:
    rules = [
        fake.on("UID FETCH", Say("NO uid"), uid=2),
        fake.on("uid fetch", Say("NO nth"), nth=3),
        fake.on("NOOP", Say("NO times"), times=1),
        fake.on("STATUS", Say("NO has"), has="unseen"),
        fake.on("CHECK", Say("NO connection"), connection=2),
        fake.on("CHECK", Say("NO user"), user="bob"),
        fake.on("CHECK", Say("NO when"), when=lambda connection, command: b"x" in command.args),
    ]
    said = [
        selected.ask(command).split(b" ", 2)[-1].split()[-1]
        for command in ("UID FETCH 1 UID", "UID FETCH 1:* UID", "UID FETCH 9 UID", "NOOP", "NOOP")
    ]
    assert said == [b"completed", b"uid", b"nth", b"times", b"completed"]
    assert selected.ask("STATUS INBOX (UNSEEN)") == b"t NO has\r\n"
    assert selected.ask("CHECK") == b"t OK CHECK completed\r\n"
    assert [rule.hits for rule in rules] == [1, 1, 1, 1, 0, 0, 0]
    fake.on("*", Say("BAD all"))
    assert selected.ask("LIST") == b"t BAD all\r\n"
    fake.forgive()
    assert selected.ask("NOOP") == b"t OK NOOP completed\r\n"


def test_a_function_acts_before_the_command(fake: FakeImap, selected: Client) -> None:
    fake.on("UID FETCH", lambda connection, command: fake.expunge("ann", [2]), times=1)
    fake.on("UID FETCH", lambda connection, command: [Delay(0.01), Edit("completed", "done")])
    assert selected.ask("UID FETCH 2 BODY.PEEK[]") == b"* 2 EXPUNGE\r\nt OK UID FETCH done\r\n"


FETCH = "UID FETCH 2 (RFC822.SIZE BODY.PEEK[])"
TAGGED = b"t OK UID FETCH completed\r\n"
ROW = b"* 2 FETCH (UID 2 RFC822.SIZE 24 BODY[] {24}\r\n" + TWO + b")\r\n"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Say("NO [UNAVAILABLE] later", ("* OK [ALERT] no",)), b"* OK [ALERT] no\r\nt NO [UNAVAILABLE] later\r\n"),
        (Bye("bye"), b"* BYE bye\r\n"),
        (Bye("bye", done=True), ROW + b"* BYE bye\r\n"),
        (Close(), b""),
        (Close(done=True), b""),
        (Close(octets=10), ROW[:10]),
        (Close(octets=3, of="literal"), ROW[: ROW.index(TWO) + 3]),
        (Send(b"\0\xff", 2, ending=Ending.CLOSE), b"\0\xff\0\xff"),
        (Insert("* 9 EXISTS"), b"* 9 EXISTS\r\n" + ROW + TAGGED),
        (Insert("* 9 EXISTS", at="after"), ROW + b"* 9 EXISTS\r\n" + TAGGED),
        (Insert("* 9 EXISTS", at=1), ROW + b"* 9 EXISTS\r\n" + TAGGED),
        (Trickle(10_000), ROW + TAGGED),
        (Delay(0.01), ROW + TAGGED),
        (NoRow(), TAGGED),
        (Twice(), ROW + ROW + TAGGED),
        (FlagsOnly(), b"* 2 FETCH (FLAGS (\\Deleted))\r\n" + TAGGED),
        (Item("BODY", "NIL"), b"* 2 FETCH (UID 2 RFC822.SIZE 24 BODY[] NIL)\r\n" + TAGGED),
        (Item("UID", "3"), ROW.replace(b"UID 2", b"UID 3") + TAGGED),
        (Item("RFC822.SIZE", lambda row: f"{row.uid}" * 20), ROW.replace(b"24 ", b"2" * 20 + b" ") + TAGGED),
        (Renumber(99), ROW.replace(b"* 2", b"* 99") + TAGGED),
        (Without("UID", "RFC822.SIZE"), b"* 2 FETCH (BODY[] {24}\r\n" + TWO + b")\r\n" + TAGGED),
        (
            Order("RFC822.SIZE", "*", "UID"),
            b"* 2 FETCH (RFC822.SIZE 24 BODY[] {24}\r\n" + TWO + b" UID 2)\r\n" + TAGGED,
        ),
        (BodyIs(b""), ROW.replace(b"{24}\r\n" + TWO, b"{0}\r\n") + TAGGED),
        (BodyIs(lambda body: body[:3]), ROW.replace(b"{24}\r\n" + TWO, b"{3}\r\nSub") + TAGGED),
        (BodyOf(1), ROW.replace(b"{24}\r\n" + TWO, b"{23}\r\n" + ONE) + TAGGED),
        (Announce(10 * 2**30), ROW.replace(b"{24}", b"{10737418240}") + TAGGED),
        (Announce(more=-1), ROW.replace(b"{24}", b"{23}") + TAGGED),
        (Literal8(), ROW.replace(b"{24}", b"~{24}") + TAGGED),
        (Quoted(), ROW.replace(b"{24}\r\n" + TWO, b'"' + TWO + b'"') + TAGGED),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, Fault) else "",
)
def test_fault_of_fetch(fake: FakeImap, selected: Client, fault: Fault, expected: bytes) -> None:
    fake.on("UID FETCH", fault, uid=2)
    assert selected.ask(FETCH) == expected


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Insert("* OK x", at="between"), "1 OK 2 OK 3"),
        (Insert("* OK x", at="behind"), "1 2 3"),
        (Reverse(), "3 2 1"),
        (Newest(2), "2 3"),
        (NoRow(), "1 3"),
        (Twice(), "1 2 2 3"),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, Fault) else "",
)
def test_fault_of_a_listing(fake: FakeImap, selected: Client, fault: Fault, expected: str) -> None:
    fake.on("UID FETCH", fault, uid=2)
    lines = selected.ask("UID FETCH 1:* UID").splitlines()[:-1]
    assert " ".join(line.split()[1].decode() for line in lines) == expected
    if expected == "1 2 3":
        assert selected.line() == b"* OK x\r\n"


def test_ignored_ranges(fake: FakeImap, selected: Client) -> None:
    fake.on("FETCH", WholeBody(), times=1)
    assert b" BODY[] {23}\r\n" + ONE in b" " + selected.ask("FETCH 1 BODY.PEEK[]<0.5>").replace(b"(", b" ")
    fake.on("FETCH", WholeBody(origin=True))
    assert b"BODY[]<0> {23}\r\n" + ONE in selected.ask("FETCH 1 BODY.PEEK[]<0.5>")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Say("NO [SERVERBUG] no"), r"^t NO \[SERVERBUG\]"),
        (Edit("UIDVALIDITY", None), r"^(?!.*UIDVALIDITY).*t OK"),
        (Edit(r"UIDVALIDITY \d+", "UIDVALIDITY 1"), r"UIDVALIDITY 1\]"),
        (Edit("READ-WRITE", "READ-ONLY"), r"t OK \[READ-ONLY\]"),
        (ReadOnly(), r"PERMANENTFLAGS \(\).*t OK \[READ-ONLY\]"),
        (Say("OK fine"), r"\At OK fine\r\n\Z"),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, Fault) else "",
)
def test_fault_of_select(fake: FakeImap, client: Client, fault: Fault, expected: str) -> None:
    client.line()
    client.ask("LOGIN ann secret")
    fake.on("SELECT", fault)
    assert re.search(expected, client.ask("SELECT INBOX").decode(), re.DOTALL)
    if isinstance(fault, ReadOnly):
        assert b"NO [READ-ONLY]" in client.ask("UID STORE 1 +FLAGS (\\Deleted)")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Close(), b""),
        (Bye("[UNAVAILABLE] full"), b"* BYE [UNAVAILABLE] full\r\n"),
        (Say("NO not you"), b"* NO not you\r\n"),
        (Send("HTTP/1.1 400\r\n"), b"HTTP/1.1 400\r\n"),
        (Preauth("ann"), b"* PREAUTH [CAPABILITY IMAP4rev1"),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, Fault) else "",
)
def test_fault_of_the_greeting(fake: FakeImap, fault: Fault, expected: bytes) -> None:
    fake.on("GREETING", fault)
    with closing(Client(fake.imap_port)) as client:
        line = client.line()
        assert line.startswith(expected) if expected else not line
        if isinstance(fault, Preauth):
            assert b"t OK [READ-WRITE]" in client.ask("SELECT INBOX")


def test_silent_greeting(fake: FakeImap) -> None:
    fake.on("GREETING", Stall())
    with closing(Client(fake.imap_port)) as client:
        assert client.silent()


def test_done_or_not_done(fake: FakeImap, selected: Client) -> None:
    fake.on("UID STORE", Close(done=True))
    assert selected.ask("UID STORE 1 +FLAGS (\\Seen)") == b""
    with closing(Client(fake.imap_port)) as other:
        other.line()
        fake.on("LOGIN", Close())
        assert other.ask("LOGIN ann secret") == b""
    assert fake.connections[1].user is None
    assert [stored.flags for stored in fake.messages("ann")] == [{"\\Seen"}, set(), set()]


@pytest.mark.parametrize("octets", [None, 5])
def test_reset(fake: FakeImap, selected: Client, octets: int | None) -> None:
    fake.on("NOOP", Close(octets=octets, reset=True))
    selected.send("t NOOP\r\n")
    with pytest.raises(ConnectionResetError):
        selected.file.read()


@pytest.mark.parametrize(
    ("fault", "sent"), [(Stall(), 0), (Stall(done=True), 0), (Stall(octets=2, of="literal"), ROW.index(TWO) + 2)]
)
def test_stall(fake: FakeImap, selected: Client, fault: Fault, sent: int) -> None:
    fake.on("UID FETCH", fault)
    selected.send(f"t {FETCH}\r\n")
    assert selected.file.read(sent) == ROW[:sent]
    selected.send("u LOGOUT\r\n")
    assert selected.silent()
    assert fake.verbs[-1] == "LOGOUT"


def test_hold_and_delay(fake: FakeImap, selected: Client) -> None:
    before, after = threading.Event(), threading.Event()
    fake.on("UID STORE", Hold(before), Hold(after, done=True), Delay(0.05, done=False))
    selected.send("t UID STORE 1 +FLAGS (\\Seen)\r\n")
    assert selected.silent(0.05)
    assert not fake.messages("ann")[0].flags
    start = time.monotonic()
    before.set()
    assert selected.silent(0.1)
    assert fake.messages("ann")[0].flags
    after.set()
    assert selected.until("t").endswith(b"t OK UID STORE completed\r\n")
    assert time.monotonic() - start > 0.05


def test_trickle_and_endless_lines_end_with_the_server(fake: FakeImap, selected: Client) -> None:
    fake.on("NOOP", Trickle(20))
    selected.send("t NOOP\r\n")
    assert selected.sock.recv(100) == b"t"
    with closing(Client(fake.imap_port)) as other:
        fake.on("CAPABILITY", EndlessLine(None))
        other.line()
        other.send("t CAPABILITY\r\n")
        assert len(other.file.read(3_000_000)) == 3_000_000
        fake.stop()


def test_endless_line_of_some_length(fake: FakeImap, selected: Client) -> None:
    fake.on("NOOP", EndlessLine(100_000, start="* 1 FETCH (UID 1 BODY[] {10737418240}\r\n"))
    selected.send("t NOOP\r\n")
    assert selected.line().endswith(b"{10737418240}\r\n")
    assert selected.file.read(131_072) == b"x" * 131_072
    assert selected.silent()


def test_pipelining(fake: FakeImap, selected: Client) -> None:
    fake.on("UID FETCH", TagLast())
    selected.send("a UID FETCH 1 UID\r\nb UID FETCH 2 UID\r\n")
    assert [selected.line().split()[:2] for _ in range(4)] == [
        [b"*", b"1"], [b"*", b"2"], [b"a", b"OK"], [b"b", b"OK"],
    ]  # fmt: skip
    fake.on("NOOP", Deafen(), Retag("z"), times=1)
    selected.send("c NOOP\r\nd NOOP\r\n")
    assert selected.line() == b"z OK NOOP completed\r\n"
    assert selected.silent()
    assert selected.ask("NOOP") == b"t OK NOOP completed\r\n"


def test_refused_literal(fake: FakeImap, client: Client) -> None:
    client.line()
    fake.on("+", Say("NO [TOOBIG] no literals"), has="LOGIN")
    assert client.ask("LOGIN {3}") == b"t NO [TOOBIG] no literals\r\n"
    assert client.ask("NOOP") == b"t OK NOOP completed\r\n"
    assert fake.verbs == ["LOGIN", "NOOP"]


def test_starttls(tmp_path: Path) -> None:
    with FakeImap(make(tmp_path)) as fake:
        fake.on("STARTTLS", Insert("* CAPABILITY IMAP4rev1 INJECTED", at="behind"), times=1)
        fake.on("TLS", Close(), connection=2)
        fake.on("TLS", Stall(), connection=3)
        with closing(Client(fake.imap_port)) as client:
            client.line()
            assert client.ask("STARTTLS") == b"t OK STARTTLS completed\r\n"
            assert client.line() == b"* CAPABILITY IMAP4rev1 INJECTED\r\n"
        with closing(Client(fake.imaps_port or 0)) as client:
            assert client.line() == b""
        with closing(Client(fake.imaps_port or 0)) as client:
            client.send("no ClientHello\r\n")
            assert client.silent()
