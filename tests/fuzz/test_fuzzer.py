"""The fuzzer itself: it finds what is planted, makes it smaller, and asks what it says that it asks."""

import contextlib
import subprocess
import sys
from random import Random

import pytest

import gateway.pop3.body
import gateway.sasl.mechanisms
from gateway.authorization import Authorization
from gateway.imap import commit, faults, link, rows
from gateway.imap.bodies import BodyReader
from gateway.imap.responses import Responses
from gateway.maildrop import Maildrop
from gateway.pop3 import BodyEncoder, Connection
from gateway.server.proxy import HeaderReader
from gateway.store.sqlite import SqliteDatabase
from tests.fuzz import corpus
from tests.fuzz.failing import minimised, why
from tests.fuzz.far_end import FarEnd, flights
from tests.fuzz.mutation import MOST_OCTETS, mutant
from tests.fuzz.targets import pool

# What somebody might break: target, where, what, and the wrong thing in its place.
PLANTED: dict[str, tuple[str, object, str, object]] = {
    "dots are not stuffed": ("body", BodyEncoder, "_emit", lambda self, text: text),
    "a lone CR at the end is lost": ("body", BodyEncoder, "finish", lambda self: b".\r\n"),
    "TOP counts wrong": ("body", gateway.pop3.body._Cut, "_body", lambda self, text: text),
    "LIST shows deleted messages": (
        *("pop3", Maildrop, "left"),
        lambda self: (self._numbers, self.snapshot.uids, self.snapshot.sizes),
    ),
    "RSET forgets nothing": ("pop3", Maildrop, "reset", lambda self: None),
    "DELE works in a read-only mailbox": ("pop3", Maildrop, "delete", lambda self, number: None),
    "what came before TLS is kept": ("pop3", Connection, "_forget", lambda self: None),
    "a password may cross in clear": ("pop3", Authorization, "_demand_privacy", lambda self: None),
    "the password is not looked at by PLAIN": ("sasl", gateway.sasl.mechanisms, "_utf8", lambda octets: "x"),
    "another message is taken for ours": (
        *("fetch", BodyReader, "_confirmed"),
        property(lambda self: True, lambda self, confirmed: None),
    ),
    "the end of the stream is not noticed": (
        *("fetch", Responses, "line"),
        lambda self: self._transport.readline() or b"* OK\r\n",
    ),
    "UIDs are not sorted": ("listing", rows, "lt", lambda one, other: True),
    "others' messages are expunged": (
        *("mailbox", commit, "_demand_no_others"),
        lambda client, uids, seconds: set(uids),
    ),
    "foreign exceptions escape": ("mailbox", faults, "_EXCEPTIONS", ()),
    "the log repeats the password": ("mailbox", link, "silent_about", lambda *_: contextlib.nullcontext()),
    "what is behind a proxy's header is taken, too": (
        *("proxy", HeaderReader, "receive"),
        lambda self, octets, receive=HeaderReader.receive: receive(self, octets) and len(octets),
    ),
    "SQLite's exceptions escape": ("ledger", SqliteDatabase, "explained", lambda self: contextlib.nullcontext()),
}


@pytest.mark.parametrize(("target", "place", "name", "wrong"), PLANTED.values(), ids=PLANTED)
def test_what_is_planted_is_found(
    monkeypatch: pytest.MonkeyPatch, target: str, place: object, name: str, wrong: object
) -> None:
    monkeypatch.setattr(place, name, wrong, raising=False)  # some are set on instances
    assert any(why(target, octets) for octets in pool(target))


# Smaller inputs


def test_what_fails_is_made_smaller_and_still_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BodyEncoder, "_emit", lambda self, text: text)
    octets = minimised("body", b"Subject: x\r\n\r\nhello\r\n.\r\nworld\r\n" * 3)
    assert len(octets) == 1


def test_another_bug_is_not_taken_for_the_same() -> None:
    """minimised() is asked for inputs that fail only; for others it has nothing to hold on to."""
    assert minimised("sasl", b"\0ann\0secret") == b""


# Mutants


def test_a_mutant_is_told_by_its_numbers_and_is_never_too_long() -> None:
    inputs = [b"a" * MOST_OCTETS, b"STAT\r\nLIST 1\r\n", b""]
    for seed in range(500):
        octets = mutant(inputs, [b"QUIT\r\n"], Random(seed).randrange)
        assert octets == mutant(inputs, [b"QUIT\r\n"], Random(seed).randrange)
        assert len(octets) <= MOST_OCTETS


# The far end


def test_the_far_end_says_what_stands_before_an_answer_with_it_and_what_is_behind_later() -> None:
    octets = b"* OK hello\r\n* A\r\n@0 OK\r\n* B\r\n@1 OK\r\n* C\r\n"
    later = [b"* OK hello\r\n", b"* A\r\n@0 OK\r\n", b"* B\r\n@1 OK\r\n", b"* C\r\n"]
    assert flights(octets, at_once=False) == later
    at_once = [b"* OK hello\r\n", b"* A\r\n", b"@0 OK\r\n* B\r\n", b"@1 OK\r\n* C\r\n"]
    assert flights(octets, at_once=True) == at_once


@pytest.mark.parametrize("seed", range(20))
def test_the_far_end_answers_with_the_tag_that_the_command_had(seed: int) -> None:
    far_end = FarEnd(b"* OK hello\r\n@0 OK in\r\n@1 OK done\r\n@2 OK nobody asked\r\n", Random(seed))
    assert far_end.readline() == b"* OK hello\r\n"
    far_end.send(b"ABCD0 LOGIN {3}\r\n")
    far_end.send(b"ann {6}\r\n")
    assert far_end.readline() == b"ABCD0 OK in\r\n"
    far_end.send(b"GW1 NOOP\r\n")
    assert [far_end.readline() for _ in range(3)] == [b"GW1 OK done\r\n", b"@2 OK nobody asked\r\n", b""]


# The longer run


def run_fuzzer(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "tests.fuzz", *arguments], capture_output=True, text=True)


def test_a_file_of_the_corpus_can_be_run_again() -> None:
    done = run_fuzzer("--replay", str(corpus.FOLDER / "sasl" / "plain"))
    assert (done.returncode, done.stdout) == (0, "sasl: plain is fine\n")


def test_it_says_how_much_it_tried() -> None:
    pytest.importorskip("atheris", reason="no atheris here: make fuzz installs it")
    done = run_fuzzer("--minutes", "0.02", "--target", "sasl")
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stdout
