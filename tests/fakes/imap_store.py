"""The mail of the fake server: accounts, folders, and what each session has been told of them."""

import base64
import itertools
import re
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.fakes.imap_wire import Command, Line, Row

SYSTEM_FLAGS = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
_CANONICAL = {flag.lower(): flag for flag in SYSTEM_FLAGS}


# No two messages arrive in one second.
_dates = (time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(seconds)) for seconds in itertools.count(1))


def canonical(flag: str) -> str:
    return _CANONICAL.get(flag.lower(), flag)


def mailbox_name(name: str) -> str:
    """A folder's name in modified UTF-7, as it goes over the wire."""

    def shift(match: re.Match[str]) -> str:
        code = base64.b64encode(match[0].encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        return f"&{code.decode()}-"

    name = re.sub(r"[^\x20-\x7e]+", shift, name.replace("&", "&-"))
    return "INBOX" if name.upper() == "INBOX" else name


@dataclass(slots=True, eq=False)
class Message:
    uid: int
    octets: bytes
    date: str  # INTERNALDATE
    flags: set[str] = field(default_factory=set)
    extra: dict[str, str] = field(default_factory=dict)  # more FETCH items: X-GM-MSGID, EMAILID, …
    recent: bool = True
    expunged: bool = False


@dataclass(slots=True, eq=False)
class Folder:
    uid_validity: int
    uid_next: int = 1
    messages: list[Message] = field(default_factory=list)
    version: int = 0  # grows with every change

    def add(self, octets: bytes, like: Message | None = None) -> Message:
        """A new message, or another one's copy."""
        message = Message(self.uid_next, octets, next(_dates) if like is None else like.date)
        if like is not None:
            message.flags, message.extra = set(like.flags), dict(like.extra)
        self.uid_next += 1
        self.messages.append(message)
        self.version += 1
        return message

    def remove(self, messages: Sequence[Message]) -> None:
        for message in messages:
            message.expunged = True
        self.messages = [message for message in self.messages if not message.expunged]
        self.version += 1

    def by_uid(self, uids: Sequence[int]) -> list[Message]:
        wanted = set(uids)
        return [message for message in self.messages if message.uid in wanted]

    def set_flags(self, message: Message, flags: set[str]) -> None:
        if flags != message.flags:
            message.flags = flags
            self.version += 1


@dataclass(slots=True, eq=False)
class Known:
    """What a session has been told of one message."""

    message: Message
    flags: frozenset[str]
    recent: bool

    def flag_list(self) -> bytes:
        flags = sorted(self.message.flags) + ["\\Recent"] * self.recent
        return f"({' '.join(flags)})".encode()


class View:
    """A selected folder as one session sees it: message numbers stay until it hears of a change."""

    def __init__(self, folder: Folder, *, read_only: bool) -> None:
        self.folder = folder
        self.read_only = read_only
        self.known: list[Known] = []
        self.uids: list[int] = []  # of those known
        self._version = folder.version
        self._admit()

    @property
    def recent(self) -> int:
        return sum(known.recent for known in self.known)

    def news(self, *, expunges: bool) -> list[Line]:
        """What other sessions changed, as untagged lines; expunges only where they are allowed."""
        if self._version == self.folder.version:
            return []
        gone = any(known.message.expunged for known in self.known)
        lines: list[Line] = list(self._expunged()) if expunges else []
        if self._admit():
            lines += [f"* {len(self.known)} EXISTS".encode(), f"* {self.recent} RECENT".encode()]
        for seq, known in enumerate(self.known, 1):
            if known.flags != known.message.flags:
                known.flags = frozenset(known.message.flags)
                uid = known.message.uid
                lines.append(Row(seq, uid, {"UID": b"%d" % uid, "FLAGS": known.flag_list()}))
        if expunges or not gone:
            self._version = self.folder.version
        return lines

    def _expunged(self) -> Iterator[bytes]:
        gone = 0
        for seq, known in enumerate(self.known, 1):
            if known.message.expunged:
                yield f"* {seq - gone} EXPUNGE".encode()
                gone += 1
        self.known = [known for known in self.known if not known.message.expunged]
        self.uids = [known.message.uid for known in self.known]

    def _admit(self) -> bool:
        last = self.uids[-1] if self.uids else 0
        new = [message for message in self.folder.messages if message.uid > last]
        self.uids += [message.uid for message in new]
        for message in new:
            self.known.append(Known(message, frozenset(message.flags), message.recent))
            message.recent = message.recent and self.read_only
        return bool(new)


@dataclass(slots=True, eq=False)
class Account:
    password: str
    folders: dict[str, Folder]  # by their names on the wire


DEFAULT_CAPABILITIES = (
    *("IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "UIDPLUS", "MOVE", "UNSELECT", "SPECIAL-USE"),
    *("AUTH=PLAIN", "AUTH=LOGIN", "AUTH=XOAUTH2", "AUTH=OAUTHBEARER"),
)


@dataclass(slots=True)
class Settings:
    """How the server presents itself; may be changed while it runs."""

    capabilities: list[str] = field(default_factory=lambda: [*DEFAULT_CAPABILITIES])  # STARTTLS comes by itself
    capabilities_after_login: list[str] | None = None  # None: the same without AUTH= and LOGINDISABLED
    greeting: str = "fake IMAP server ready"
    capability_in_greeting: bool = True
    capability_after_login: bool = True
    special_use: dict[str, str] = field(default_factory=dict)  # folder -> "\\Trash"
    max_line: int = 8192  # longer command lines, literals not counted, are BAD
    latency: float = 0.0  # seconds from a client's flight to the answer, which gathers all of the flight


@dataclass(slots=True)
class Site:
    """What all connections share."""

    settings: Settings
    tls: ssl.SSLContext | None
    accounts: dict[str, Account] = field(default_factory=dict)
    log: list[Command] = field(default_factory=list)  # of all connections
    lock: threading.RLock = field(default_factory=threading.RLock)
    next_validity: int = 1_500_000_000

    def new_folder(self, validity: int | None = None) -> Folder:
        if validity is None:
            validity = self.next_validity
            self.next_validity += 1
        return Folder(validity)
