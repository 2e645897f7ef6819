"""One client's story: a legal command in, a reply out.

A session knows nothing of sockets. It is answered from memory wherever RFC 1939 allows it, without a wait and
without a task: only a login, QUIT, and a message that was not read ahead wait for the upstream.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from gateway.authorization import Authorization
from gateway.errors import GatewayError, Refused
from gateway.maildrop import CommitPlan, Maildrop, unique_ids
from gateway.pop3 import (
    Change,
    Command,
    Malformed,
    Reply,
    SaslCancelled,
    SaslResponse,
    encode_message,
    err,
    ok,
    rows,
)
from gateway.pop3 import Event as Pop3Event
from gateway.ports import Channel, Mailbox, Peer, Services, Terms
from gateway.telemetry.events import CommandFailed, Event
from gateway.transfer import Beginning, Transfer, whole

# Any other command makes a USER before it void, but a failed AUTH is as if it had not been (RFC 5034 section 4).
_KEEP_USER = frozenset({"USER", "PASS", "AUTH"})


# A larger message takes the client longer than us, and what is foreseen is held twice.
FORESEEN_OCTETS = 65_536


@dataclass(slots=True)
class Tally:
    """What the session did, for the summary."""

    retrieved: int = 0
    retrieved_octets: int = 0
    tops: int = 0
    deleted: int = 0


class Foreseen(NamedTuple):
    """RETR of the message that comes next if the client goes on in order, and the reply to it."""

    line: bytes  # the command with its CRLF, as clients send it
    reply: bytes  # whole, as it is sent
    number: int
    uid: int
    size: int  # as it is listed
    octets: int  # as it is


class Session:
    """Feed each event of the POP3 connection to answer_now(), and where that has none to answer(); send what they
    return, and end with close(). While the client takes a reply, foresee() makes the one that it is likely to want
    next: where that comes to be, send it as it is, and say sent().
    """

    def __init__(self, services: Services, terms: Terms, peer: Peer, emit: Callable[[Event], None]) -> None:
        self.tally = Tally()
        self.foreseen: Foreseen | None = None
        self._next = 0  # the number that goes on in order; 0 where there is none
        self._authorization = Authorization(services, terms, peer, emit)
        self._emit = emit
        self._maildrop: Maildrop | None = None

    @property
    def user(self) -> str:
        """As the client named itself last; "" before it did."""
        return self._authorization.user

    @property
    def authorized(self) -> bool:
        return self._maildrop is not None

    @property
    def is_stranger(self) -> bool:
        """Not logged in, and no login of its own under way."""
        return self._maildrop is None and self._authorization.lock is None

    @property
    def is_wanted_elsewhere(self) -> bool:
        """Whether another session is to take over the maildrop."""
        lock = self._authorization.lock
        return lock is not None and lock.is_wanted

    def tls_started(self, channel: Channel) -> None:
        self._authorization.channel = channel

    async def greeting(self) -> Reply:
        return await self._authorization.greeting()

    def answer_now(self, event: Pop3Event) -> Reply | None:
        """The reply where memory has it; None where it is to be waited for. Errors become -ERR."""
        match event:
            case Command():
                return self._obey_now(event)
            case Malformed(reply):
                self._authorization.forget_user()
                return reply
            case SaslCancelled(why):
                return self._authorization.cancel(why)
            case SaslResponse():
                return None

    async def answer(self, event: Pop3Event) -> Reply | Transfer:
        """The reply to what answer_now() has none for. Errors become -ERR; anything else that escapes is a bug."""
        if isinstance(event, SaslResponse):
            return self._entered(await self._authorization.advance(event.octets))
        assert isinstance(event, Command)  # noqa: S101 - the others have their answer at once
        try:
            return await _IN_TIME[event.verb](self, event)
        except GatewayError as error:
            return self._refuse(event, error)

    def foresee(self) -> None:
        """At any time. Makes the next message's reply, if it is here already and not made yet."""
        number = self._next
        if not number or self.foreseen is not None or not self._drop.has(number):
            return
        uid, size = self._drop.find(number)
        octets = self._mailbox.peek(uid)
        if octets is None or len(octets) > FORESEEN_OCTETS:
            return
        reply, length = encode_message(octets, b"+OK %d octets\r\n" % size)  # as _retr_at_hand has it
        self.foreseen = Foreseen(b"RETR %d\r\n" % number, reply, number, uid, size, length)

    def sent(self, foreseen: Foreseen) -> None:
        """The client has asked for it, and has it."""
        self._mailbox.at_hand(foreseen.uid)
        self._retrieved(foreseen.number, foreseen.uid, foreseen.size, foreseen.octets)

    def hurry(self) -> None:
        """Somebody waits for the end of this session."""
        if self._authorization.mailbox is not None:
            self._authorization.mailbox.hurry()

    async def close(self) -> None:
        """Leave the mailbox without a plan: what was not committed by QUIT is not done. Idempotent."""
        self._forget_next()
        await self._authorization.close()

    def _obey_now(self, command: Command) -> Reply | None:
        if command.verb not in _KEEP_USER:
            self._authorization.forget_user()
        handler = _AT_ONCE.get(command.verb)
        if handler is None:
            return None
        try:
            return handler(self, command)
        except GatewayError as error:
            return self._refuse(command, error)

    def _refuse(self, command: Command, error: GatewayError) -> Reply:
        if not isinstance(error, Refused):  # the world failed, not the client
            self._emit(CommandFailed(self.user, command.verb, str(error)))
        return err(error.reply, error.code)

    # AUTHORIZATION

    def _capa(self, _: Command) -> Reply:
        return self._authorization.capa(authorized=self.authorized)

    def _stls(self, _: Command) -> Reply:
        return self._authorization.stls()

    def _name(self, command: Command) -> Reply:
        return self._authorization.user_command(command)

    async def _pass(self, command: Command) -> Reply:
        return self._entered(await self._authorization.pass_command(command))

    async def _apop(self, command: Command) -> Reply:
        return self._entered(await self._authorization.apop_command(command))

    async def _auth(self, command: Command) -> Reply:
        return self._entered(await self._authorization.auth_command(command))

    def _entered(self, reply: Reply) -> Reply:
        if reply.change is Change.MAILDROP_OPEN:
            self._maildrop = Maildrop(self._mailbox.snapshot)
        return reply

    # TRANSACTION

    @property
    def _drop(self) -> Maildrop:
        assert self._maildrop is not None  # noqa: S101 - the command table lets none of these in before login
        return self._maildrop

    @property
    def _mailbox(self) -> Mailbox:
        assert self._authorization.mailbox is not None  # noqa: S101 - as _drop
        return self._authorization.mailbox

    def _stat(self, _: Command) -> Reply:
        return ok(f"{self._drop.count} {self._drop.octets}")

    def _list(self, command: Command) -> Reply:
        for number in command.numbers:
            return ok(f"{number} {self._drop.size(number)}")
        numbers, _, sizes = self._drop.left()
        return ok(self._drop.description, lines=rows("%d %d", numbers, sizes))

    def _uidl(self, command: Command) -> Reply:
        for number in command.numbers:
            return ok(f"{number} {self._drop.unique_id(number)}")
        numbers, uids, _ = self._drop.left()
        template = unique_ids(self._drop.snapshot.uidvalidity)
        return ok("unique-ids follow", lines=rows(f"%d {template}", numbers, uids))

    def _dele(self, command: Command) -> Reply:
        number = command.numbers[0]
        self._drop.delete(number)
        if self.foreseen is not None and self.foreseen.number == number:
            self.foreseen = None
        return ok(f"message {number} deleted")

    def _noop(self, _: Command) -> Reply:
        return ok()

    def _rset(self, _: Command) -> Reply:
        self._drop.reset()
        return ok(self._drop.description)

    def _last(self, _: Command) -> Reply:
        return ok(str(self._drop.last))

    def _retr_at_hand(self, command: Command) -> Reply | None:
        self._forget_next()  # it is another one, or was said in another way
        number = command.numbers[0]
        uid, size = self._drop.find(number)
        octets = self._mailbox.at_hand(uid)
        if octets is None:
            return None
        text, length = encode_message(octets)
        self._retrieved(number, uid, size, length)
        return ok(f"{size} octets", message=text)

    async def _retr(self, command: Command) -> Transfer:
        number = command.numbers[0]
        uid, size = self._drop.find(number)
        body = await self._mailbox.open_body(uid)
        return Transfer(ok(f"{size} octets"), whole(body, partial(self._retrieved, number, uid, size)))

    def _retrieved(self, number: int, uid: int, size: int, octets: int) -> None:
        """`size`: as it is listed; `octets`: as it was."""
        self._drop.retrieve(number)
        self.foreseen, self._next = None, number + 1
        self.tally.retrieved += 1
        self.tally.retrieved_octets += octets
        if octets != size:
            self._mailbox.learn(uid, octets)

    def _top_at_hand(self, command: Command) -> Reply | None:
        number, _ = command.numbers
        self._forget_next()
        beginning = self._beginning(command)
        octets = self._mailbox.at_hand(self._drop.uid(number), beginning.limit)
        text = None if octets is None else beginning.text_in(octets)
        if text is None:
            return None
        self.tally.tops += 1
        return ok("top of message follows", message=text)

    async def _top(self, command: Command) -> Transfer:
        beginning = self._beginning(command)
        body = await beginning.open()
        self.tally.tops += 1
        return Transfer(ok("top of message follows"), beginning.blocks(body))

    def _forget_next(self) -> None:
        self.foreseen, self._next = None, 0

    def _beginning(self, command: Command) -> Beginning:
        number, lines = command.numbers
        return Beginning(self._mailbox, self._drop.uid(number), lines)

    # UPDATE

    async def _quit(self, _: Command) -> Reply:
        """The truth: +OK when all was done upstream, -ERR when some of it may not be (RFC 1939 section 6)."""
        if self._maildrop is None:
            return ok("bye", change=Change.CLOSE)
        plan = self._drop.plan()
        finished = False  # then our caller closes, after the reply
        try:
            finished = await self._mailbox.commit(plan)
        except GatewayError as error:
            self._emit(CommandFailed(self.user, "QUIT", str(error)))
            return err(_how_it_ended(plan, error), error.code, change=Change.CLOSE)
        finally:
            if finished:  # so that the client's next login finds no lock
                await self.close()
        self.tally.deleted = len(plan.delete)
        return ok(plan.description, change=Change.CLOSE)


def _how_it_ended(plan: CommitPlan, error: GatewayError) -> str:
    """What QUIT is answered when it failed."""
    if isinstance(error, Refused):  # before anything was done
        return error.reply
    text = "some deleted messages may not be removed" if plan.delete else "the session ended badly"
    return f"{text}: {error.reply}"


# RETR and TOP are in both tables: at once where the message was read ahead.
_AT_ONCE: dict[str, Callable[[Session, Command], Reply | None]] = {
    "USER": Session._name,
    "CAPA": Session._capa,
    "STLS": Session._stls,
    "STAT": Session._stat,
    "LIST": Session._list,
    "UIDL": Session._uidl,
    "DELE": Session._dele,
    "NOOP": Session._noop,
    "RSET": Session._rset,
    "LAST": Session._last,
    "RETR": Session._retr_at_hand,
    "TOP": Session._top_at_hand,
}
_IN_TIME: dict[str, Callable[[Session, Command], Awaitable[Reply | Transfer]]] = {
    "PASS": Session._pass,
    "APOP": Session._apop,
    "AUTH": Session._auth,
    "RETR": Session._retr,
    "TOP": Session._top,
    "QUIT": Session._quit,
}
