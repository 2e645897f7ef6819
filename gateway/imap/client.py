"""IMAPClient over our transport: the one file that knows IMAPClient's and imaplib's insides.

What it changes: the socket (see transport.py); the capabilities that a greeting or a login already told are not
asked for again; arguments may be literals; PREAUTH is refused; nothing is logged.
"""

import base64
import contextlib
import imaplib
import logging
import re
from collections.abc import Sequence
from typing import Any

from imapclient import IMAPClient
from imapclient.imapclient import SocketTimeout

from gateway.errors import UpstreamError, UpstreamUnreachable, UpstreamUnusable
from gateway.imap.faults import plain, refusal
from gateway.imap.tls import Trust
from gateway.imap.transport import Transport
from gateway.ports import Endpoint, TlsMode

_LITERAL_MINUS_OCTETS = 4096  # the most that LITERAL- lets go out uninvited: RFC 7888 section 5
_LINE_LIMIT = 2_097_152  # octets: a SEARCH tells of 200,000 messages in one line
# Said by a server that nobody asked. A line that ends in a literal would have to be waited for.
_NEWS = re.compile(rb"\* (?!BYE\b)(?:.*[^}])?\r\n", re.IGNORECASE | re.DOTALL)
_ANSWER_OCTETS = 8_388_608  # of all responses to one command: an EXPUNGE tells of every message, in some 20 octets

# Its warnings quote servers, and would stand in the log in another form than all other lines.
logging.getLogger("imapclient").addHandler(logging.NullHandler())
logging.getLogger("imapclient").propagate = False


class Literal(bytes):
    """An argument that is sent as an IMAP literal (RFC 3501 section 4.3)."""


class Response(bytes):
    """What AUTHENTICATE sends once the server has asked for it (RFC 3501 section 6.2.2)."""


class _Imap4(imaplib.IMAP4):
    """imaplib with our transport in the place of its socket and file."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._budget = _ANSWER_OCTETS
        super().__init__()

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:  # noqa: ARG002 - imaplib's own
        self.host, self.port = host, port
        self.sock = self._transport.socket

    def read(self, size: int) -> bytes:
        self._spend(size)
        return self._transport.read(size)

    def readline(self) -> bytes:
        line = self._transport.readline(_LINE_LIMIT)
        self._spend(len(line))
        return line

    def send(self, data: Any) -> None:
        self._budget = _ANSWER_OCTETS
        self._transport.send(data)

    def _spend(self, octets: int) -> None:
        """imaplib keeps all that it reads until the next command, so an answer without an end must have one."""
        self._budget -= octets
        if self._budget < 0:
            raise self.abort(f"the server sent more than {_ANSWER_OCTETS} octets in answer to one command")

    def shutdown(self) -> None:
        self._transport.close()

    def _connect(self) -> None:
        super()._connect()  # type: ignore[misc]
        if self.state == "AUTH":
            # Somebody else's mailbox, for any password at all.
            raise UpstreamUnusable("the server greets with PREAUTH, so it does not check passwords")

    def _get_capabilities(self) -> None:
        told: list[Any] | None = self.untagged_responses.pop("CAPABILITY", None)
        if told is None:
            super()._get_capabilities()  # type: ignore[misc]
        else:
            self.capabilities = tuple(str(told[-1], "ascii", "replace").upper().split())


class Client(IMAPClient):  # type: ignore[misc]
    """A connection up to the login. Raises what imaplib and IMAPClient raise: callers wrap it in translated()."""

    def __init__(self, transport: Transport, endpoint: Endpoint) -> None:
        self.transport = transport
        self.endpoint = endpoint
        self.mechanisms: frozenset[str] = frozenset()  # of SASL, that the server offers before a login
        self.secrets: tuple[str, ...] = ()  # that were sent to the server, which may repeat them at any time
        self.accepted_at = 0.0  # when the server took the password, by the clock of whoever keeps connections warm
        implicit = endpoint.tls is TlsMode.IMPLICIT
        super().__init__(endpoint.host, endpoint.port, ssl=implicit, timeout=SocketTimeout(None, None))
        self._imap.debug = 0  # IMAPClient sets 5, and formats every line for a log that nobody reads

    def _create_IMAP4(self) -> _Imap4:  # noqa: N802 - IMAPClient's name
        return _Imap4(self.transport)

    def upgrade(self, trust: Trust) -> None:
        """STARTTLS, and the capabilities anew (RFC 3501 section 6.2.1)."""
        if "STARTTLS" not in self.offered():
            raise UpstreamUnusable("the server does not offer STARTTLS; a password is not sent in clear")
        typ, data = self._imap._simple_command("STARTTLS")
        if typ != "OK":
            raise refusal(_text(data), f"STARTTLS was refused: {plain(_text(data))}", default=UpstreamUnusable)
        self.transport.start_tls(trust, self.endpoint)
        self._imap.sock = self.transport.socket
        self._imap.untagged_responses.clear()
        self._starttls_done = True
        self._imap._get_capabilities()

    def offered(self) -> frozenset[str]:
        """Capabilities before the login."""
        return frozenset(self._imap.capabilities)

    def announced(self) -> frozenset[str]:
        """Capabilities after the login: told with it, or asked for now and remembered."""
        return frozenset(name.decode("ascii", "replace") for name in self.capabilities())

    def log_in_with(self, command: str, *arguments: bytes, excused: bytes = b"") -> tuple[str, str]:
        """Send a login command; returns the tagged status and text. The state is AUTH after OK.

        `excused` answers a challenge where none is due: a failure is explained so, and the text has it then.
        """
        self._imap.untagged_responses.clear()
        typ, data = self._exchange(command, arguments, excused)
        if typ == "NO" and (bye := self._imap.untagged_responses.get("BYE")):
            # The server is going away: that, and not the password, may be why it refuses.
            raise refusal(_text(bye), f"the server said BYE: {plain(_text(bye))}", default=UpstreamUnreachable)
        text = _text(data)
        if typ == "OK":
            self._imap.state = "AUTH"
            self._cached_capabilities = None
            if "CAPABILITY" in self._imap.untagged_responses:
                self.capabilities()  # remembers them: SELECT will throw the response away
        return typ, text

    def has_selected(self, *, read_only: bool) -> None:
        """A mailbox is open, though it was not IMAPClient that sent SELECT."""
        self._imap.untagged_responses.clear()
        self._imap.state = "SELECTED"
        self._imap.is_readonly = read_only

    @property
    def at_rest(self) -> bool:
        """Whether every command that was sent has its whole answer, so that another one may follow."""
        return not (self.transport.aborted or self.transport.unanswered or self._imap.tagged_commands)

    def shrink(self) -> None:
        """Forget what the last answers were: imaplib keeps them until the next command."""
        self._imap.untagged_responses = {}
        self._imap.mo = None
        self._imap._cmd_log = {}  # its last ten lines, whatever their length
        self.transport.shrink()

    def is_well(self) -> bool:
        """Look at a connection at rest, without waiting: what came unasked must be whole lines, and none a BYE."""
        try:
            lines = self.transport.unasked().splitlines(keepends=True)
        except OSError:
            return False
        return all(_NEWS.fullmatch(line) for line in lines)

    def unselect(self) -> None:
        """Let go of the mailbox (RFC 3691), where the server can do that without expunging."""
        if self._imap.state == "SELECTED" and "UNSELECT" in self.announced():
            self.unselect_folder()

    def uids_where(self, criterion: str) -> set[int]:
        """UID SEARCH. An answer without a SEARCH response is an error here, not an empty result."""
        typ, data = self._raw_command(b"SEARCH", [criterion.encode("ascii")])
        typ, data = self._imap._untagged_response(typ, data, "SEARCH")
        self._checkok("search", typ, data)
        if data == [None]:
            raise UpstreamError("the server completed a SEARCH without a result")
        return {int(word) for line in data for word in line.split()}

    def _exchange(self, command: str, arguments: Sequence[bytes], excused: bytes) -> tuple[str, list[Any]]:
        """imaplib sends one literal at most, and never without an invitation; LOGIN may need two (RFC 7888)."""
        imap = self._imap
        tag = imap._new_tag()
        out = bytearray(tag + b" " + command.encode("ascii"))
        for argument in arguments:
            if isinstance(argument, Literal):
                uninvited = self._goes_uninvited(argument)
                out += b" {%d%s}\r\n" % (len(argument), b"+" if uninvited else b"")
            elif isinstance(argument, Response):
                uninvited = False
                out += b"\r\n"
            else:
                out += b" " + argument
                continue
            if not uninvited:
                imap.send(bytes(out))
                out.clear()
                if self._answer(tag):
                    return self._completion(tag)
            out += argument
        imap.send(bytes(out) + b"\r\n")
        explained = b""
        while not self._answer(tag):
            explained = explained or _decoded(imap.continuation_response)
            imap.send(excused + b"\r\n")
        typ, data = self._completion(tag)
        return typ, [*data, explained] if explained else data

    def _goes_uninvited(self, literal: Literal) -> bool:
        offered = self.offered()
        return "LITERAL+" in offered or ("LITERAL-" in offered and len(literal) <= _LITERAL_MINUS_OCTETS)

    def _answer(self, tag: bytes) -> bool:
        """Read on: True when the command is completed, False when the server asks for more."""
        while not self._imap.tagged_commands[tag]:
            try:
                if self._imap._get_response() is None:
                    return False
            except imaplib.IMAP4.abort:
                if bye := self._imap.untagged_responses.get("BYE"):
                    raise UpstreamUnreachable(f"the server said BYE: {plain(_text(bye))}") from None
                raise
        return True

    def _completion(self, tag: bytes) -> tuple[str, list[Any]]:
        typ, data = self._imap.tagged_commands.pop(tag)
        return typ, data


def _decoded(challenge: bytes) -> bytes:
    """Of base64; nothing, where it is none."""
    with contextlib.suppress(ValueError):
        return base64.b64decode(challenge, validate=True)
    return b""


def _text(data: Sequence[Any]) -> str:
    """The words of a response, as imaplib keeps them."""
    return b" ".join(part for part in data if isinstance(part, bytes)).decode("utf-8", "replace")
