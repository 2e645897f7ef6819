"""A POP3 server as a reader of its conversations: what the client said, what it was told, whether that fits.

Slow, line by line, and written after the RFCs, not after the gateway: for each line of the client's it knows which
answer there must be. It demands well-formed answers, the very messages, and says which may have been deleted.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.fuzz.bugs import Bug, demand
from tests.pop3.reference import expected

LINE_LIMIT = 16_384  # octets: README, and RFC 2449 section 4 asks for less
STATUS_LIMIT = 512  # octets with CRLF: RFC 2449 section 4
PASSWORD = "secret"
UIDVALIDITY = 9
UID_STEP = 7

_STATUS = re.compile(rb"(\+OK|-ERR)(?: ([\x20-\x7e]*))?\r\n|(\+) ([A-Za-z0-9+/=]*)\r\n")
_CODE = re.compile(rb"\[(AUTH|IN-USE|LOGIN-DELAY|SYS/TEMP|SYS/PERM)\] ")
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_NUMBER = re.compile(rb"[0-9]{1,18}")
_TEXT_LINE = re.compile(rb"[\x21-\x7e][\x20-\x7e]{0,509}\r\n")

QUIT, CUT, GUESSED, LEFT = (
    *("QUIT", "broken off within a message", "too many failed logins", "the client closed the connection"),
)


@dataclass(frozen=True, slots=True)
class Mail:
    octets: bytes
    gone: bool = False  # another client removes it after each login
    breaks_after: int | None = None  # octets; the upstream sends no more


@dataclass(frozen=True, slots=True)
class Drop:
    """Message n has the UID 7 n: odd ones and even ones, which come by different ways."""

    mail: tuple[Mail, ...]
    read_only: bool = False
    quit_fails: bool = False  # in the middle of the deletions
    closed: bool = False  # the password is right, and the mailbox cannot be opened

    @property
    def uids(self) -> list[int]:
        return [UID_STEP * number for number in range(1, len(self.mail) + 1)]


@dataclass(frozen=True, slots=True)
class Conditions:
    tls_available: bool
    loopback: bool
    attempts: int


class Model:
    """read() once; then `removable` has the UIDs that QUIT was to delete, and `removed` those it said it did."""

    def __init__(
        self, said: bytes, told: bytes, tls_began_at: list[int], conditions: Conditions, drops: Mapping[str, Drop]
    ) -> None:
        self.user = ""  # who logged in
        self.removable: set[int] = set()
        self.removed: set[int] = set()
        self._said, self._said_at = said, 0
        self._told, self._told_at = told, 0
        self._tls_began_at = list(tls_began_at)
        self._conditions = conditions
        self._drops = drops
        self._drop = Drop(())
        self._tls = False
        self._name: str | None = None
        self._mechanism = b""
        self._responses: list[bytes] = []
        self._guesses = 0
        self._marked: set[int] = set()
        self._last = 0
        self._state = self._authorization

    def read(self) -> str:
        """How it ended. Raises Bug."""
        demand(self._status()[0] == b"+OK", "a greeting that is none")
        end = ""
        while not end and (line := self._line()) is not None:
            status, text = self._status()
            if len(line) > LINE_LIMIT:
                self._want(False, status, line)
                self._name = None if self._state == self._authorization else self._name
                self._state = self._authorization if self._state == self._authenticating else self._state
            else:
                end = self._state(line, status, text)
        demand(self._told_at == len(self._told), f"nobody asked for {self._told[self._told_at :]!r}")
        return end or LEFT

    # Reading

    def _line(self) -> bytes | None:
        end = self._said.find(b"\n", self._said_at)
        if end < 0:
            return None
        line = self._said[self._said_at : end]
        self._said_at = end + 1
        return line[:-1] if line.endswith(b"\r") else line

    def _status(self) -> tuple[bytes, bytes]:
        found = _STATUS.match(self._told, self._told_at)
        if found is None:
            raise Bug(f"{self._told[self._told_at :][:600]!r} is no answer")
        self._told_at = found.end()
        if found[3]:
            return found[3], found[4]
        demand(len(found[0]) <= STATUS_LIMIT, f"a status line of {len(found[0])} octets")
        text = found[2] or b""
        demand(found[1] == b"-ERR" or not text.startswith(b"["), f"a response code that is none: {text!r}")
        demand(not text.startswith(b"[") or bool(_CODE.match(text)), f"nobody knows the response code of {text!r}")
        return found[1], text

    def _want(self, ok: bool, status: bytes, line: bytes) -> bool:
        demand(status == (b"+OK" if ok else b"-ERR"), f"{status!r} to {line!r}")
        return ok

    def _want_lines(self, lines: list[str]) -> None:
        self._want_octets("".join(f"{line}\r\n" for line in [*lines, "."]).encode())

    def _want_octets(self, octets: bytes) -> None:
        came = self._told[self._told_at : self._told_at + len(octets)]
        demand(came == octets, f"{came!r} instead of {octets!r}")
        self._told_at += len(octets)

    def _some_lines(self) -> None:
        """CAPA, AUTH: nothing that has to be stuffed."""
        while not self._told.startswith(b".\r\n", self._told_at):
            found = _TEXT_LINE.match(self._told, self._told_at)
            if found is None or found[0].startswith(b"."):
                raise Bug(f"{self._told[self._told_at :][:600]!r} is no line of a list")
            self._told_at = found.end()
        self._told_at += 3

    # Before the login

    @property
    def _clear(self) -> bool:
        """Whether a password may cross."""
        return self._tls or self._conditions.loopback

    def _authorization(self, line: bytes, status: bytes, text: bytes) -> str:
        verb, space, rest = line.partition(b" ")
        name, self._name = self._name, None
        match verb.upper():
            case b"USER":
                if self._want(self._clear and bool(rest) and b"\0" not in rest, status, line):
                    self._name = _text(rest)
            case b"PASS":
                known = name is not None and bool(space) and b"\0" not in rest and self._clear
                return self._log_in(name or "", _text(rest), known, status, text)
            case b"AUTH":
                return self._begin_auth(rest.split(), name, status, text)
            case b"CAPA":
                if self._want(not rest.split(), status, line):
                    self._some_lines()
            case b"STLS":
                if self._want(self._conditions.tls_available and not self._tls and not rest.split(), status, line):
                    self._tls = True
                    self._said_at = self._tls_began_at.pop(
                        0
                    )  # what came in clear is forgotten: RFC 2595 section 4
            case b"QUIT":
                return QUIT if self._want(not rest.split(), status, line) else ""
            case _:
                self._want(False, status, line)
        return ""

    def _begin_auth(self, words: list[bytes], name: str | None, status: bytes, text: bytes) -> str:
        line = b"AUTH " + b" ".join(words)
        if not words:
            self._want(True, status, line)
            self._some_lines()
            self._name = name  # RFC 5034 section 4: as if the command had not been
            return ""
        initial = b"" if words[1:] == [b"="] else words[1] if words[1:] else None
        if len(words) > 2 or not _BASE64.fullmatch(initial or b""):
            self._want(False, status, line)
            return ""
        self._name = name
        self._mechanism, self._responses = words[0].upper(), []
        if self._mechanism not in _CREDENTIALS or not self._clear:
            self._want(False, status, line)
            return ""
        if initial is not None:
            return self._authenticating(initial, status, text)
        demand(status == b"+", f"{status!r} to {line!r}")
        self._state = self._authenticating
        return ""

    def _authenticating(self, line: bytes, status: bytes, text: bytes) -> str:
        self._state = self._authorization
        line = b"" if line == b"=" else line  # as some clients write it
        if not _BASE64.fullmatch(line):
            self._want(False, status, line)
            return ""
        self._responses.append(base64.b64decode(line))
        found = _CREDENTIALS[self._mechanism](self._responses)
        if found is None:
            demand(status == b"+", f"{status!r} where the exchange must go on")
            self._state = self._authenticating
            return ""
        return self._log_in(*found, True, status, text)

    def _log_in(self, name: str, password: str, known: bool, status: bytes, text: bytes) -> str:
        """`known`: there is a name, and the password was looked at."""
        right = known and name in self._drops and password == PASSWORD
        if self._want(right and not self._drops[name].closed, status, b"a login"):
            self.user, self._drop, self._state = name, self._drops[name], self._transaction
        elif not right and known:
            demand(text.startswith(b"[AUTH] "), f"{text!r} to a wrong password")
            self._guesses += 1
            return GUESSED if self._guesses >= self._conditions.attempts else ""
        else:
            demand(not text.startswith(b"[AUTH]"), f"{text!r}, and the password was not wrong")
        return ""

    # After it

    def _transaction(self, line: bytes, status: bytes, text: bytes) -> str:
        verb, _, rest = line.partition(b" ")
        words = rest.split()
        row = _TRANSACTION.get(verb.upper())
        legal = row is not None and len(words) in row[0] and all(map(_NUMBER.fullmatch, words))
        if row is None or not legal:
            self._want(False, status, line)
            return ""
        return row[1](self, list(map(int, words)), status, text)

    def _is_there(self, number: int) -> bool:
        return 1 <= number <= len(self._drop.mail) and number not in self._marked

    def _present(self) -> list[int]:
        return [number for number in range(1, len(self._drop.mail) + 1) if number not in self._marked]

    def _octets(self, number: int) -> int:
        return len(self._drop.mail[number - 1].octets)

    def _stat(self, _: list[int], status: bytes, text: bytes) -> str:
        wanted = b"%d %d" % (len(self._present()), sum(map(self._octets, self._present())))
        demand((status, text) == (b"+OK", wanted), f"STAT: {text!r} instead of {wanted!r}")
        return ""

    def _list(self, numbers: list[int], status: bytes, text: bytes) -> str:
        return self._table(numbers, status, text, lambda number: f"{number} {self._octets(number)}")

    def _uidl(self, numbers: list[int], status: bytes, text: bytes) -> str:
        unique_ids = f"{UIDVALIDITY:08x}{{:08x}}".format
        return self._table(numbers, status, text, lambda number: f"{number} {unique_ids(UID_STEP * number)}")

    def _table(self, numbers: list[int], status: bytes, text: bytes, row: Callable[[int], str]) -> str:
        for number in numbers:
            if self._want(self._is_there(number), status, b"LIST or UIDL"):
                demand(text == row(number).encode(), f"{text!r} instead of {row(number)}")
            return ""
        self._want(True, status, b"LIST or UIDL")
        self._want_lines([row(number) for number in self._present()])
        return ""

    def _retr(self, numbers: list[int], status: bytes, _: bytes) -> str:
        return self._message(numbers[0], None, status)

    def _top(self, numbers: list[int], status: bytes, _: bytes) -> str:
        return self._message(numbers[0], numbers[1], status)

    def _message(self, number: int, top: int | None, status: bytes) -> str:
        there = self._is_there(number) and not self._drop.mail[number - 1].gone
        if not self._want(there, status, b"RETR or TOP"):
            return ""
        mail = self._drop.mail[number - 1]
        whole = expected(mail.octets, top).encoded
        came = self._told[self._told_at :]
        if mail.breaks_after is not None and not (top is not None and came.startswith(whole)):
            demand(whole.startswith(came) and whole != came, f"{came!r} is no beginning of {whole!r}")
            self._told_at = len(self._told)
            return CUT
        self._want_octets(whole)
        self._last = self._last if top is not None else max(self._last, number)
        return ""

    def _dele(self, numbers: list[int], status: bytes, _: bytes) -> str:
        if self._want(self._is_there(numbers[0]) and not self._drop.read_only, status, b"DELE"):
            self._marked.add(numbers[0])
            self._last = max(self._last, numbers[0])
        return ""

    def _rset(self, _: list[int], status: bytes, __: bytes) -> str:
        self._want(True, status, b"RSET")
        self._marked.clear()
        self._last = 0
        return ""

    def _say_last(self, _: list[int], status: bytes, text: bytes) -> str:
        demand((status, text) == (b"+OK", b"%d" % self._last), f"{text!r} instead of {self._last}")
        return ""

    def _noop(self, _: list[int], status: bytes, __: bytes) -> str:
        self._want(True, status, b"NOOP")
        return ""

    def _capa(self, _: list[int], status: bytes, __: bytes) -> str:
        self._want(True, status, b"CAPA")
        self._some_lines()
        return ""

    def _quit(self, _: list[int], status: bytes, __: bytes) -> str:
        self.removable = {UID_STEP * number for number in self._marked}
        if self._want(not (self._drop.quit_fails and self._marked), status, b"QUIT"):
            self.removed = self.removable
        return QUIT


_Row = tuple[tuple[int, ...], Callable[[Model, list[int], bytes, bytes], str]]

# Verb → how many numbers, and what the answer must be.
_TRANSACTION: dict[bytes, _Row] = {
    b"STAT": ((0,), Model._stat),
    b"LIST": ((0, 1), Model._list),
    b"UIDL": ((0, 1), Model._uidl),
    b"RETR": ((1,), Model._retr),
    b"TOP": ((2,), Model._top),
    b"DELE": ((1,), Model._dele),
    b"RSET": ((0,), Model._rset),
    b"LAST": ((0,), Model._say_last),
    b"NOOP": ((0,), Model._noop),
    b"CAPA": ((0,), Model._capa),
    b"QUIT": ((0,), Model._quit),
}


def _text(octets: bytes) -> str:
    """Clients that know no UTF-8 send Latin-1."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _plain(responses: list[bytes]) -> tuple[str, str] | None:
    """What cannot be right is given as a name that nobody has."""
    fields = responses[0].split(b"\0")
    good = len(fields) == 3 and fields[0] in (b"", fields[1])
    return (_text(fields[1]), _text(fields[2])) if good else ("", "")


def _login(responses: list[bytes]) -> tuple[str, str] | None:
    if len(responses) == 1 and _is_utf8(responses[0]):
        return None
    return (_text(responses[0]), _text(responses[-1])) if _is_utf8(responses[-1]) else ("", "")


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


# Mechanism → the name and password in the responses; None: it wants another one.
_CREDENTIALS: dict[bytes, Callable[[list[bytes]], tuple[str, str] | None]] = {b"PLAIN": _plain, b"LOGIN": _login}
