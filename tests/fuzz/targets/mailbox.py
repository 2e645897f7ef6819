"""All that a server says in a whole session: greeting, login, SELECT, listing, two messages, deletion, farewell.

A line of `%%` ends a connection, and what follows is said on the next one.
"""

import asyncio
import base64
import re
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

import gateway.imap.mailbox
from gateway.errors import BadCredentials, GatewayError
from gateway.imap import bodies, tls
from gateway.imap.connections import Connections
from gateway.imap.link import Timeouts
from gateway.imap.listing import NoListings
from gateway.imap.mailbox import UpstreamMailbox
from gateway.imap.mailboxes import UpstreamMailboxes
from gateway.imap.means import Means
from gateway.imap.transport import BLOCK_OCTETS, Transport
from gateway.imap.warm import Limits
from gateway.maildrop import Allowance, CommitPlan, OnDelete, Policy
from gateway.ports import Account, Endpoint, TlsMode
from gateway.sasl import Credentials, Secret
from gateway.telemetry import Event
from gateway.threads import Threads
from tests.fuzz.bugs import demand
from tests.fuzz.far_end import SECONDS, FarEnd
from tests.fuzz.targets import fetch, listing
from tests.fuzz.targets.endings import judged

BLOCKS = (16, BLOCK_OCTETS)  # octets
BEGINNING = 4  # octets: less than any message has
AHEAD = 5  # messages after the first two: enough for the gateway to read some of them ahead
NEXT_CONNECTION = b"%%\r\n"
MOST_CONNECTIONS = 8  # one for each thing that is asked, and one more where it breaks
USER, PASSWORD = "ann", 'sec"ret'  # not one to put between quotes
SECRETS = (PASSWORD.encode(), base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()))
TOKENS = (
    *(b"* OK [CAPABILITY IMAP4rev1 UIDPLUS] ready\r\n", b"* PREAUTH hello\r\n", b"* OK hello\r\n", b"+"),
    *(b"* CAPABILITY IMAP4rev1 UIDPLUS MOVE\r\n", b"UIDPLUS", b"MOVE", b"STARTTLS", b"AUTH=PLAIN", b"SASL-IR"),
    *(b"LITERAL+", b"LITERAL-", b"LOGINDISABLED", b"X-GM-EXT-1", b"SPECIAL-USE", b"XLIST", b"IMAP4rev2"),
    *(b"@0 OK in\r\n", b"@3 OK done\r\n", b"@4 OK done\r\n", b"@5 OK done\r\n", b"@4 NO [CANNOT] no\r\n"),
    *(b"* SEARCH 7\r\n", b"* SEARCH\r\n", b"* SEARCH 7 (MODSEQ 9)\r\n", b'* ESEARCH (TAG "x") UID ALL 7\r\n'),
    *(b'* LIST (\\Trash) "/" Trash\r\n', b"* LIST (\\Trash) NIL {5}\r\nTr&-h\r\n", b"&AOk", b"&"),
    *(b"* NO [AUTHENTICATIONFAILED] no\r\n", b"* BAD what\r\n", b"[UNAVAILABLE]", b"[INUSE]", b"[THROTTLED]"),
    *(b"* SEARCH 7 " + b"(" * 3000 + b"\r\n", b"%%\r\n", b"%%\r\n* OK again\r\n", b"* BYE AccessTokenExpired\r\n"),
    *fetch.TOKENS,
    *listing.TOKENS,
)

_COMMAND = re.compile(rb"[A-Z]+\d+ (UID |)([A-Z]+)(?: ([^ \r\n]+))?")
# Nobody here has a reason to say these. CLOSE expunges, whoever flagged it.
_NEVER = {b"CLOSE", b"DELETE", b"RENAME", b"APPEND", b"CREATE"}
_OF_MESSAGES = {b"STORE", b"MOVE", b"COPY", b"EXPUNGE"}


def run(octets: bytes, random: Random) -> str:
    server = Server(octets, random)
    # Where there is a bin, and the server is not Gmail, whose usual way it is, our operator wants it so.
    trash = b"\\Trash" in octets and b"X-GM-EXT-1" not in octets
    policy = Policy(OnDelete.TRASH if trash else OnDelete.AUTO)
    account = Account(Endpoint("h", 143, server.tls), Credentials(USER, Secret(PASSWORD)), "INBOX", policy)
    client = Session(account)
    with server.instead_of_sockets():
        how = asyncio.run(client.run())
    for connection in server.connections:
        _look_at_commands(connection, client.touched)
    sent = b"".join(octets for connection in server.connections for octets in connection.sent)
    demand(
        "BadCredentials" not in how or any(_may_have_refused(connection) for connection in server.connections),
        "a wrong password that nobody refused",
    )
    _look_at_log(" ".join(client.log), octets, sent)
    return how


class Server:
    """Takes connections as long as it has something to say."""

    def __init__(self, octets: bytes, random: Random) -> None:
        self.connections: list[FarEnd] = []
        self.tls = TlsMode.STARTTLS if b"STARTTLS" in octets.partition(b"\n")[0] else TlsMode.NONE
        self._left = re.split(rb"(?m)^%%\r?\n", octets)
        self._random = random

    @contextmanager
    def instead_of_sockets(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(patch.object(Transport, "connect", self._connect))
            stack.enter_context(patch.object(tls, "trust", lambda _: _ClearTls(self)))
            # So that a short message has several blocks, and a rest that is worth the reading, or is not.
            stack.enter_context(patch.object(bodies, "BLOCK_OCTETS", self._random.choice(BLOCKS)))
            stack.enter_context(patch.object(gateway.imap.mailbox, "DISCARD_OCTETS", self._random.choice(BLOCKS)))
            yield

    def _connect(self, *_: object) -> Transport:
        if not self._left:
            raise ConnectionRefusedError("no more connections")
        demand(len(self.connections) < MOST_CONNECTIONS, "it connects again and again")
        self.connections.append(FarEnd(self._left.pop(0), self._random))
        return self.connections[-1]


class _ClearTls:
    """In the place of tls.Trust: connections are read as they are, and no secret may have crossed before."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def shake_hands(self, sock: Any, _: Endpoint) -> Any:
        sent = b"".join(self._server.connections[-1].sent)
        demand(not any(secret in sent for secret in SECRETS), "a password crossed before TLS")
        return sock

    def remember(self, sock: Any, _: Endpoint) -> None:
        pass


class _Inline(Threads):
    """Threads that are none: the same input does the same thing every time."""

    def submit(self, function: Any, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except GatewayError as error:
            future.set_exception(error)
        return future

    def start(self, function: Any, *args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)


class Session:
    """All that a client can ask for. It reads some messages, deletes the first and marks the second: `touched`."""

    def __init__(self, account: Account) -> None:
        self.touched: set[int] = set()
        self.log: list[str] = []
        self._account = account

    async def run(self) -> str:
        threads, timeouts = _Inline(), Timeouts(SECONDS, SECONDS, SECONDS)
        connections = Connections(timeouts, Limits(), threads, self._emit)
        means = Means(connections, threads, threads, timeouts, self._emit, NoListings(), Allowance())
        mailboxes = UpstreamMailboxes(means)
        how = await self._first_login(mailboxes)
        await self._second_login(mailboxes)
        connections.close(SECONDS)
        return how

    async def _first_login(self, mailboxes: UpstreamMailboxes) -> str:
        try:
            mailbox = await mailboxes.open(self._account, lambda: None)
        except GatewayError as error:
            return f"no login: {self._failed(error)}"
        uids = list(mailbox.snapshot.uids)
        self.touched.update(uids[:2])
        wanted = zip(uids, (None, BEGINNING, *[None] * AHEAD), strict=False)
        done = [await self._read(mailbox, uid, most) for uid, most in wanted]
        plan = CommitPlan(mailbox.snapshot.uidvalidity, tuple(uids[:1]), tuple(uids[1:2]))
        done.append(await self._commit(mailbox, plan))
        await mailbox.close()
        return ", ".join(done)

    async def _second_login(self, mailboxes: UpstreamMailboxes) -> None:
        """On a connection that is still warm, perhaps: what the first one left in it is not for this one."""
        try:
            mailbox = await mailboxes.open(self._account, lambda: None)
        except GatewayError as error:
            self._failed(error)
        else:
            await mailbox.close()

    def _emit(self, event: Event) -> None:
        self.log.append(repr(event))

    async def _read(self, mailbox: UpstreamMailbox, uid: int, most: int | None) -> str:
        await asyncio.sleep(0)  # each command is a turn of the event loop
        if (held := mailbox.at_hand(uid, most)) is not None:
            demand(len(held) <= BLOCK_OCTETS, f"{len(held)} octets were read ahead")
            return "at hand"
        try:
            body = await mailbox.open_body(uid, most)
            try:
                async for block in body:
                    demand(len(block) <= BLOCK_OCTETS, f"a block of {len(block)} octets")
                    if most:
                        break
            finally:
                await body.aclose()
        except GatewayError as error:
            demand(not isinstance(error, BadCredentials), "a wrong password after the login")
            return self._failed(error)
        return "message"

    async def _commit(self, mailbox: UpstreamMailbox, plan: CommitPlan) -> str:
        try:
            done = await mailbox.commit(plan)
        except GatewayError as error:
            demand(not isinstance(error, BadCredentials), "a wrong password after the login")
            return self._failed(error)
        return "deleted" if done else "to be deleted"

    def _failed(self, error: GatewayError) -> str:
        self.log.append(str(judged(error)))
        return type(error).__name__


def _may_have_refused(connection: FarEnd) -> bool:
    said_no = re.search(rb"(?i)\bNO\b", connection.said) is not None
    return said_no and not any(b" SELECT " in octets for octets in connection.sent)


def _look_at_log(told: str, octets: bytes, sent: bytes) -> None:
    """No password, but where the server tells one out of the blue: before it had it, or after the login."""
    logging_in = any(secret in sent for secret in SECRETS) and b" SELECT " not in sent
    may_be = PASSWORD.encode() in octets and not logging_in
    demand(may_be or PASSWORD not in told, f"a password is logged: {told}")


def _look_at_commands(connection: FarEnd, uids: set[int]) -> None:
    """Whatever the server said, nothing was done to other messages than ours."""
    looked = False  # for what is flagged, by whomever
    for line in b"".join(connection.sent).split(b"\r\n"):
        command = _COMMAND.match(line)
        if command is None:
            continue
        demand(b"\n" not in line and b"\r" not in line, f"{line!r} is more than one line")
        by_uid, verb, argument = command.groups()
        demand(verb not in _NEVER, f"{line!r} was sent")
        if verb in _OF_MESSAGES and by_uid:
            demand(set(_uids(argument)) <= uids, f"{line!r} is about others than {uids}")
        elif verb in _OF_MESSAGES:
            demand(verb == b"EXPUNGE" and looked, f"{line!r} takes whatever is flagged")
        looked = looked or (verb == b"SEARCH" and b"DELETED" in line)


def _uids(sequence_set: bytes) -> Iterator[int]:
    for part in sequence_set.split(b","):
        first, _, last = part.partition(b":")
        yield from range(int(first), int(last or first) + 1)
