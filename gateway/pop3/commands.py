"""Commands as a table: in which states, with which argument, and what to say when that is wrong."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.pop3.replies import Reply, err
from gateway.pop3.states import State


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is legal in the state it came in, with its arguments read."""

    verb: str
    numbers: tuple[int, ...] = ()
    text: str = field(default="", repr=False)  # PASS brings a secret
    initial: bytes | None = field(default=None, repr=False)  # AUTH's initial response, decoded


@dataclass(frozen=True, slots=True)
class Malformed:
    """What came is no legal command: this is the reply to it."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class SaslResponse:
    """A line of a SASL exchange, decoded."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SaslCancelled:
    """The exchange ends without a login: the client's `*`, or a line that is no base64."""

    why: str


class _Usage(Exception):
    """The argument does not fit; the reply is made from the row's usage."""


@dataclass(frozen=True, slots=True)
class _Row:
    states: tuple[State, ...]
    read: Callable[[str, bytes | None], Command]  # verb, and all after the first space (None without one)
    usage: str


_DIGITS = 18  # of a number: more than any has


def _numbers(least: int, most: int) -> Callable[[str, bytes | None], Command]:
    """A reader of `least` to `most` numbers."""

    def read(verb: str, argument: bytes | None) -> Command:
        words = argument.split() if argument else []
        if not least <= len(words) <= most:
            raise _Usage
        for word in words:
            if not word.isdigit() or len(word) > _DIGITS:
                raise _Usage
        return Command(verb, tuple(map(int, words)))

    return read


def _verbatim(verb: str, argument: bytes | None) -> Command:
    """A name or password: all octets after the one space, more spaces included (RFC 1939 section 7, PASS)."""
    if argument is None or b"\0" in argument:
        raise _Usage
    try:
        return Command(verb, text=argument.decode())
    except UnicodeDecodeError:
        # Clients from before UTF-8 send their own code page; for most of them that was Latin-1.
        return Command(verb, text=argument.decode("latin-1"))


def _sasl(verb: str, argument: bytes | None) -> Command:
    """AUTH mechanism [initial-response], RFC 5034 section 4; `=` stands for an empty response."""
    words = (argument or b"").split()
    if len(words) > 2:
        raise _Usage
    mechanism = words[0].decode("ascii", "replace").upper() if words else ""
    if len(words) < 2:
        return Command(verb, text=mechanism)
    return Command(verb, text=mechanism, initial=_response(words[1]))


def _name_and_digest(verb: str, argument: bytes | None) -> Command:
    """RFC 1939 section 7: the name may have spaces, the digest is sixteen octets in hexadecimal."""
    if argument is None or not _APOP.fullmatch(argument):
        raise _Usage
    return _verbatim(verb, argument)


_APOP = re.compile(rb"[^ ].* [0-9a-fA-F]{32}")
# RFC 4648 section 4. How much too many `=` the library lets pass depends on the version of Python.
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def _response(octets: bytes) -> bytes:
    """`=` is for an empty initial response only; curl (EXTERNAL) and others say it within the exchange, too."""
    return b"" if octets == b"=" else _base64(octets)


def _base64(octets: bytes) -> bytes:
    if not _BASE64.fullmatch(octets):
        raise _Usage
    return base64.b64decode(octets)


_nothing = _numbers(0, 0)
_message = _numbers(1, 1)
_perhaps_message = _numbers(0, 1)
_message_and_lines = _numbers(2, 2)

_BEFORE = (State.AUTHORIZATION,)
_AFTER = (State.TRANSACTION,)
_BOTH = _BEFORE + _AFTER

COMMANDS: dict[str, _Row] = {
    # RFC 1939
    "USER": _Row(_BEFORE, _verbatim, "USER takes a name"),
    "PASS": _Row(_BEFORE, _verbatim, "PASS takes a password"),
    "STAT": _Row(_AFTER, _nothing, "STAT takes no argument"),
    "LIST": _Row(_AFTER, _perhaps_message, "LIST takes no argument or one message number"),
    "RETR": _Row(_AFTER, _message, "RETR takes one message number"),
    "DELE": _Row(_AFTER, _message, "DELE takes one message number"),
    "NOOP": _Row(_AFTER, _nothing, "NOOP takes no argument"),
    "RSET": _Row(_AFTER, _nothing, "RSET takes no argument"),
    "TOP": _Row(_AFTER, _message_and_lines, "TOP takes a message number and a number of lines"),
    "UIDL": _Row(_AFTER, _perhaps_message, "UIDL takes no argument or one message number"),
    "APOP": _Row(_BEFORE, _name_and_digest, "APOP takes a name and a digest"),
    "QUIT": _Row(_BOTH, _nothing, "QUIT takes no argument"),
    # RFC 1460, dropped from RFC 1939, still sent by old clients
    "LAST": _Row(_AFTER, _nothing, "LAST takes no argument"),
    # RFC 2449, 2595, 5034
    "CAPA": _Row(_BOTH, _nothing, "CAPA takes no argument"),
    "STLS": _Row(_BEFORE, _nothing, "STLS takes no argument"),
    "AUTH": _Row(_BEFORE, _sasl, "AUTH takes a mechanism and perhaps an initial response in base64"),
}

_BY_WORD = {verb.encode("ascii"): (verb, row) for verb, row in COMMANDS.items()}
_VERB = re.compile(rb"[A-Za-z0-9]{1,16}", re.ASCII)


def read_command(line: bytes, state: State) -> Command | Malformed:
    """A line without its CRLF. Verbs are case-insensitive; the argument is what follows the first space."""
    word, space, rest = line.partition(b" ")
    found = _BY_WORD.get(word.upper())
    if found is None:
        verb = word.decode("ascii", "replace").upper()
        known = f"unknown command {verb}" if _VERB.fullmatch(word) else "that is no POP3 command"
        return Malformed(err(f"{known}; CAPA tells what is offered"))
    verb, row = found
    if state not in row.states:
        return Malformed(err(f"{verb} is for {'after' if row.states == _AFTER else 'before'} the login"))
    try:
        return row.read(verb, rest if space else None)
    except _Usage:
        return Malformed(err(row.usage))


def read_sasl_response(line: bytes) -> SaslResponse | SaslCancelled:
    """A line within an exchange: base64, or `*` to give up (RFC 5034 section 4)."""
    if line == b"*":
        return SaslCancelled("authentication cancelled")
    try:
        return SaslResponse(_response(line))
    except _Usage:
        return SaslCancelled("a SASL response is one line of base64")
