"""A client's octets, in any pieces, through the whole of our side: wire to session, mailboxes in memory behind.

The conversation is the real one; what it says is held against a slow model (pop3_model.py), command by command.
"""

import ssl
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import cast

from gateway.errors import UpstreamError, UpstreamUnusable
from gateway.pop3.connection import LINE_LIMIT
from gateway.ports import Account, Mailbox, Services, Terms
from gateway.server.conversation import Conversation, Patience
from gateway.server.wire import Wire
from gateway.session import Session
from gateway.telemetry import Event
from gateway.telemetry.events import Crashed
from tests.conformance.memory import Folder, MemoryMailboxes, Message, Upstream
from tests.fuzz.bugs import Bug, demand
from tests.fuzz.near_end import NearEnd
from tests.fuzz.targets.pop3_model import PASSWORD, UIDVALIDITY, Conditions, Drop, Mail, Model

LONG_HEADER = b"X: " + b"h" * 20_000  # TOP has to ask once more
MAIL = (
    Mail(b"Subject: one\r\n\r\nhello\r\nworld\r\n"),
    Mail(b".\n..two\n\n.\n\n..\r\rx\0\n."),
    Mail(b"Subject: gone\r\n\r\nsomebody took it\r\n", gone=True),
    Mail(b"Subject: cut off\r\n\r\n" + b"0123456789\r\n" * 20, breaks_after=50),
    Mail(b""),
    Mail(LONG_HEADER + b"\r\n\r\none\r\ntwo\r\n"),
)
DROPS = {
    "ann": Drop(MAIL),
    "bob": Drop(MAIL[:2], read_only=True),
    "cat": Drop(()),
    "dan": Drop(MAIL[:2], quit_fails=True),
    "eve": Drop(MAIL[:1], closed=True),
}
TOKENS = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\0", b"\xff", b"\xc3\xbc", b"*\r\n", b"+OK\r\n", b".\r\n", b"=\r\n"),
    *(b"USER ann\r\nPASS secret\r\n", b"USER bob\r\nPASS secret\r\n", b"USER dan\r\nPASS secret\r\n"),
    *(b"USER eve\r\nPASS secret\r\n", b"PASS secret\r\n", b"USER ann\r\n", b"PASS wrong\r\n", b"USER cat\r\n"),
    *(b"AUTH\r\n", b"AUTH PLAIN\r\n", b"AUTH PLAIN =\r\n", b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", b"AUTH LOGIN\r\n"),
    *(b"AGFubgBzZWNyZXQ=\r\n", b"YW5u\r\n", b"c2VjcmV0\r\n", b"AUTH LOGIN YW5u\r\n", b"AUTH XOAUTH2 dXNlcj0=\r\n"),
    *(b"CAPA\r\n", b"STLS\r\n", b"STAT\r\n", b"LIST\r\n", b"LIST 1\r\n", b"UIDL\r\n", b"UIDL 2\r\n", b"NOOP\r\n"),
    *(b"RETR 1\r\n", b"RETR 2\r\n", b"RETR 3\r\n", b"RETR 4\r\n", b"RETR 6\r\n", b"TOP 1 0\r\n", b"TOP 2 3\r\n"),
    *(b"TOP 4 0\r\n", b"TOP 6 1\r\n", b"TOP 1 99999999\r\n", b"DELE 1\r\n", b"DELE 2\r\n", b"DELE 3\r\n"),
    *(b"RSET\r\n", b"LAST\r\n", b"QUIT\r\n", b"XTND XMIT\r\n", b"APOP ann x\r\n", b"UTF8\r\n", b"x" * 600),
    *(b"A" * LINE_LIMIT, b"USER " + b"u" * 2000, b"LIST 0", b"DELE -1", b"RETR 1 2", b"\x0b", b"\t"),
)

PATIENCE = Patience(60.0, 60.0, 60.0)  # nothing here waits
ENDLESS_OCTETS = 200_000
ATTEMPTS = 3
BLOCKS = (50, 65_536)  # octets of a message that come from the upstream at once


def run(octets: bytes, random: Random) -> str:
    if not random.randrange(8) and not octets.endswith(b"\n"):
        octets += b"x" * ENDLESS_OCTETS
    conditions = Conditions(bool(random.randrange(4)), bool(random.randrange(4)), ATTEMPTS)
    rooms, client = Rooms(random.choice(BLOCKS)), NearEnd(octets, random, loopback=conditions.loopback)
    events: list[Event] = []

    async def converse(wire: Wire) -> str:
        terms = Terms("pop.example.com", conditions.tls_available, False, ATTEMPTS, 0.0)
        session = Session(rooms.services(), terms, wire.peer, events.append)
        conversation = Conversation(wire, session, PATIENCE, lambda: cast("ssl.SSLContext", None), events.append)
        client.watch(conversation._connection)
        return await conversation.run(None)

    how = client.run(converse).partition(":")[0]
    for event in events:
        if isinstance(event, Crashed):
            raise Bug(f"{event.error}\n{event.traceback}")
    model = Model(octets, b"".join(client.told), client.tls_began_at, conditions, DROPS)
    seen = model.read()
    demand(seen == how, f"it ended with {how!r}, and the client sees {seen!r}")
    _look_into_mailboxes(rooms, model)
    return str(how)


def _look_into_mailboxes(rooms: "Rooms", model: Model) -> None:
    for user, drop in DROPS.items():
        kept = {uid for uid, mail in zip(drop.uids, drop.mail, strict=True) if not mail.gone}
        lost = kept - {message.uid for message in rooms.upstreams[user].folders[user].messages}
        may, must = (model.removable, model.removed & kept) if user == model.user else (set[int](), set[int]())
        demand(must <= lost <= may, f"{lost} of {user} are deleted; {must} must be, {may} may be")


class Rooms:
    """Implements ports.Mailboxes: one upstream for each user, each with its own fault."""

    def __init__(self, block_octets: int) -> None:
        self.upstreams = {user: _upstream(user, drop, block_octets) for user, drop in DROPS.items()}

    def services(self) -> Services:
        return replace(Upstream().services(login_delay=0), mailboxes=self)

    async def open(self, account: Account, admit: Callable[[], None]) -> Mailbox:
        user = account.credentials.user
        upstream = self.upstreams.get(user, Upstream())
        mailbox = await MemoryMailboxes(upstream).open(account, admit)
        for uid, mail in zip(DROPS[user].uids, DROPS[user].mail, strict=True):
            if mail.gone and (message := upstream.folders[user].find(uid)):
                upstream.folders[user].remove(message)
        return mailbox


def _upstream(user: str, drop: Drop, block_octets: int) -> Upstream:
    folder = Folder(PASSWORD, UIDVALIDITY, read_only=drop.read_only)
    for uid, mail in zip(drop.uids, drop.mail, strict=True):
        folder.messages.append(Message(str(uid), uid, mail.octets, breaks_after=mail.breaks_after))
    return Upstream(
        {user: folder},
        block_octets,
        list_fault=UpstreamUnusable("it cannot be opened") if drop.closed else None,
        commit_fault=UpstreamError("it breaks off") if drop.quit_fails else None,
    )
