"""An IMAP4rev1 session: its state, and how a command finds its verb (imap_login, imap_mail)."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from tests.fakes.imap_store import Folder, Known, Site, View
from tests.fakes.imap_wire import BadCommand, Command, Refused, Reply, Scanner, SequenceSet

Ask = Callable[[bytes], bytes]  # sends "+ challenge", gives the client's line


class State(IntEnum):
    START = 0
    LOGGED_IN = 1
    SELECTED = 2


_Handler = Callable[["Session", Scanner, Reply], None]


@dataclass(frozen=True, slots=True)
class Verb:
    handler: _Handler
    states: tuple[State, ...]
    needs: str  # a capability, or ""


class Verbs(dict[str, Verb]):
    """What a server can do, by the names of the commands."""

    def add(
        self, *names: str, states: tuple[State, ...] = tuple(State), needs: str = ""
    ) -> Callable[[_Handler], _Handler]:
        def enter(handler: _Handler) -> _Handler:
            self.update({name: Verb(handler, states, needs) for name in names})
            return handler

        return enter


class Session:
    """The state of one client, whatever carries its octets."""

    def __init__(self, site: Site, verbs: Verbs) -> None:
        self.site = site
        self.secure = False
        self.user: str | None = None
        self.view: View | None = None
        self.start_tls: Callable[[], None] = lambda: None
        self.ask: Ask = lambda _: b"*"
        self.command = Command("", "", b"", b"")
        self._verbs = verbs

    # What it is

    @property
    def state(self) -> State:
        if self.user is None:
            return State.START
        return State.LOGGED_IN if self.view is None else State.SELECTED

    @property
    def capabilities(self) -> list[str]:
        settings = self.site.settings
        if self.user is not None and settings.capabilities_after_login is not None:
            return settings.capabilities_after_login
        found = [name for name in settings.capabilities if not (self.secure and name == "LOGINDISABLED")]
        if self.user is not None:
            return [name for name in found if not name.startswith(("AUTH=", "LOGINDISABLED"))]
        return found + ["STARTTLS"] * (self.site.tls is not None and not self.secure)

    def has(self, capability: str) -> bool:
        return capability in self.capabilities

    def greeting(self, condition: str = "OK") -> bytes:
        settings = self.site.settings
        code = f"[CAPABILITY {' '.join(self.capabilities)}] " if settings.capability_in_greeting else ""
        return f"* {condition} {code}{settings.greeting}".encode()

    def names(self, command: Command, uid: int) -> bool:
        """Whether the command's sequence set takes in this message."""
        uids = self.view.uids if self.view is not None else []
        try:
            numbers = SequenceSet(Scanner(command.args).word())
        except BadCommand:
            return False
        if command.verb.startswith("UID "):
            return numbers.covers(uid, uids[-1] if uids else 0)
        return uid in uids and numbers.covers(uids.index(uid) + 1, len(uids))

    def execute(self, command: Command, ask: Ask) -> Reply:
        self.ask, self.command = ask, command
        reply = Reply(command.tag or "*", tagged=f"OK {command.verb} completed".encode())
        try:
            verb = self._verbs.get(command.verb)
            if verb is None or (verb.needs and not self.has(verb.needs)):
                raise BadCommand(f"unknown command {command.verb[:40]}")
            if self.state not in verb.states:
                raise BadCommand(f"{command.verb} is not allowed now")
            with contextlib.nullcontext() if command.verb == "AUTHENTICATE" else self.site.lock:
                verb.handler(self, Scanner(command.args), reply)
        except BadCommand as bad:
            reply = Reply(command.tag or "*", tagged=f"BAD {bad}".encode())
        except Refused as refused:
            reply = Reply(command.tag or "*", tagged=f"NO {refused}".encode())
        if self.view is not None:
            with self.site.lock:
                reply.lines += self.view.news(expunges=command.verb not in ("FETCH", "STORE", "SEARCH"))
        return reply

    # For the verbs

    def folders(self) -> dict[str, Folder]:
        assert self.user is not None
        return self.site.accounts[self.user].folders

    def folder(self, name: str, code: str = "[NONEXISTENT]") -> Folder:
        folder = self.folders().get(name)
        if folder is None:
            raise Refused(f"{code} no such mailbox")
        return folder

    def selected(self) -> View:
        assert self.view is not None
        return self.view

    def writable(self) -> View:
        view = self.selected()
        if view.read_only:
            raise Refused("[READ-ONLY] the mailbox is selected read-only")
        return view

    def picked(self, numbers: str) -> list[tuple[int, Known]]:
        """The messages of a sequence set, with their numbers; those expunged meanwhile are left out."""
        view, wanted = self.selected(), SequenceSet(numbers)
        count = len(view.known)
        if self.command.verb.startswith("UID "):
            indices = wanted.indices(view.uids)
        elif any(high > count or low < 1 for low, high in wanted.bounds(count)):
            raise BadCommand("no such message number")
        else:
            indices = wanted.indices(range(1, count + 1))
        return [(i + 1, view.known[i]) for i in indices if not view.known[i].message.expunged]
