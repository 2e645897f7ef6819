"""One client's story: a legal command in, a reply out.

A session knows nothing of sockets. It is answered from memory wherever RFC 1939 allows it: only a login, RETR,
TOP and QUIT wait for the upstream.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import BadCredentials, GatewayError, Refused
from gateway.maildrop import Maildrop
from gateway.pop3 import (
    Change,
    Command,
    Malformed,
    Offer,
    Reply,
    SaslCancelled,
    SaslResponse,
    capabilities,
    challenge,
    err,
    ok,
)
from gateway.pop3 import Event as Pop3Event
from gateway.ports import Account, Mailbox, MaildropLock, Peer, Services, Terms
from gateway.sasl import MECHANISMS, Credentials, Exchange, Secret
from gateway.telemetry.events import CommandFailed, Event, LoggedIn, LoginFailed
from gateway.transfer import Beginning, Transfer, whole

# Any other command makes a USER before it void: PASS is for immediately after a successful USER (RFC 1939
# section 7), but a failed AUTH is as if it had not been (RFC 5034 section 4).
_KEEP_USER = frozenset({"USER", "PASS", "AUTH"})


_UPSTREAM_COMMANDS = frozenset({"RETR", "TOP", "QUIT"})


@dataclass(slots=True)
class Tally:
    """What the session did, for the summary."""

    user: str = ""
    retrieved: int = 0
    retrieved_octets: int = 0
    tops: int = 0
    deleted: int = 0


class Session:
    """Feed each event of the POP3 connection to answer(), send what it returns, and end with close()."""

    def __init__(self, services: Services, terms: Terms, peer: Peer, emit: Callable[[Event], None]) -> None:
        self.tally = Tally()
        self.tls_active = False
        self._services = services
        self._terms = terms
        self._peer = peer
        self._emit = emit
        self._user: str | None = None
        self._exchange: Exchange | None = None
        self._failures = 0
        self._lock: MaildropLock | None = None
        self._mailbox: Mailbox | None = None
        self._maildrop: Maildrop | None = None

    @property
    def authorized(self) -> bool:
        return self._maildrop is not None

    @property
    def is_stranger(self) -> bool:
        """Not logged in, and no login of its own under way."""
        return self._maildrop is None and self._lock is None

    @property
    def is_wanted_elsewhere(self) -> bool:
        """Whether another session is to take over the maildrop."""
        return self._lock is not None and self._lock.is_wanted

    def greeting(self) -> Reply:
        return ok("pop3-gateway ready")

    async def answer(self, event: Pop3Event) -> Reply | Transfer:
        """The reply to one event. Errors become -ERR; anything else that escapes is a bug."""
        match event:
            case Malformed(reply):
                self._user = None
                return reply
            case SaslCancelled(why):
                self._exchange = None
                return err(why, "AUTH", change=Change.LOGIN_FAILED)
            case SaslResponse(octets):
                return await self._advance(octets)
            case Command():
                return await self._obey(event)

    def waits_for(self, event: Pop3Event) -> bool:
        """Whether the answer comes from the upstream, and not from memory."""
        return isinstance(event, Command) and event.verb in _UPSTREAM_COMMANDS

    def hurry(self) -> None:
        """Somebody waits for the end of this session."""
        if self._mailbox is not None:
            self._mailbox.hurry()

    async def close(self) -> None:
        """Leave the mailbox without a plan: what was not committed by QUIT is not done. Idempotent."""
        try:
            if self._mailbox is not None:
                await self._mailbox.close()
        finally:
            lock, self._lock, self._mailbox = self._lock, None, None
            if lock is not None:
                lock.release()

    async def _obey(self, command: Command) -> Reply | Transfer:
        try:
            if command.verb not in _KEEP_USER:
                self._user = None
            return await _HANDLERS[command.verb](self, command)
        except GatewayError as error:
            if not isinstance(error, Refused):  # the world failed, not the client
                self._emit(CommandFailed(self.tally.user, command.verb, str(error)))
            return err(error.reply, error.code)

    # AUTHORIZATION

    def _offer(self) -> Offer:
        clear_text = self._clear_text_allowed()
        return Offer(
            authorized=self.authorized,
            tls_available=self._terms.tls_available and not self.tls_active,
            user_pass=clear_text,
            login_delay=self._services.login_delay.seconds,
            mechanisms=tuple(name for name, row in MECHANISMS.items() if clear_text or not row.clear_text),
        )

    def _clear_text_allowed(self) -> bool:
        return self.tls_active or self._peer.is_loopback or self._terms.allow_plaintext

    def _demand_privacy(self) -> None:
        """RFC 8314 section 3, RFC 2595 section 2: no password in clear. No [AUTH]: it is none of RFC 3206's."""
        if not self._clear_text_allowed():
            self._emit(LoginFailed("", self._peer.address, "", "a password without TLS is not taken"))
            way = "send STLS first" if self._terms.tls_available else "use the POP3S port"
            raise Refused(text=f"a password is not taken without TLS; {way}")

    async def _capa(self, _: Command) -> Reply:
        return ok("capabilities follow", lines=capabilities(self._offer()))

    async def _stls(self, _: Command) -> Reply:
        if self.tls_active:
            return err("TLS is active already")
        if not self._terms.tls_available:
            return err("TLS is not available here")
        return ok("begin TLS", change=Change.TLS_STARTS)

    async def _name(self, command: Command) -> Reply:
        self._user = None
        self._demand_privacy()
        if not command.text:
            return err("USER takes a name")
        self._user = command.text
        return ok("send PASS")

    async def _pass(self, command: Command) -> Reply:
        user, self._user = self._user, None
        if user is None:
            return err("send USER first")
        self._demand_privacy()
        return await self._login(Credentials(user, Secret(command.text)))

    async def _auth(self, command: Command) -> Reply:
        offered = self._offer().mechanisms
        if not command.text:  # Outlook and Mozilla ask so what there is; Dovecot and Courier answer so
            return ok("mechanisms follow", lines=offered)
        mechanism = MECHANISMS.get(command.text)
        if mechanism is None:
            return err(f"this mechanism is not offered; there is {' '.join(offered) or 'none without TLS'}")
        if mechanism.clear_text:
            self._demand_privacy()
        self._exchange = mechanism.begin()
        first = next(self._exchange)
        if command.initial is None:
            return challenge(first)
        return await self._advance(command.initial)

    async def _advance(self, octets: bytes) -> Reply:
        """One step of the SASL exchange."""
        assert self._exchange is not None  # noqa: S101 - the connection is in the AUTHENTICATING state
        try:
            return challenge(self._exchange.send(octets))
        except StopIteration as end:
            self._exchange = None
            credentials: Credentials = end.value
            return await self._login(credentials)
        except BadCredentials as error:
            self._exchange = None
            return await self._failed("", error)

    async def _login(self, credentials: Credentials) -> Reply:
        self.tally.user = credentials.user
        try:
            if not credentials.secret.reveal():
                raise BadCredentials(text="an empty password cannot log in")
            account = await self._services.accounts.resolve(credentials)
            self._mailbox = await self._open(account)
        except GatewayError as error:
            await self.close()
            return await self._failed(credentials.user, error)
        self._maildrop = Maildrop(self._mailbox.snapshot)
        drop = self._maildrop
        self._emit(LoggedIn(credentials.user, self._peer.address, self.tls_active, drop.count, drop.octets))
        return ok(self._describe(), change=Change.MAILDROP_OPEN)

    async def _open(self, account: Account) -> Mailbox:
        """The lock is taken once the password was found right: a stranger's guesses lock nobody out."""
        key = account.maildrop_key
        lock = self._lock = self._services.locks.lock(key)

        def admit() -> None:
            lock.acquire()
            self._services.login_delay.admit(key)

        mailbox = await self._services.mailboxes.open(account, admit)
        self._services.login_delay.logged_in(key)
        return mailbox

    async def _failed(self, user: str, error: GatewayError) -> Reply:
        """A failed login: wrong guesses are slowed down, then the connection is closed."""
        self._emit(LoginFailed(user, self._peer.address, error.code, str(error)))
        if not isinstance(error, BadCredentials):
            return err(error.reply, error.code, change=Change.LOGIN_FAILED)
        await asyncio.sleep(self._terms.failure_delay * 2**self._failures)
        self._failures += 1
        last = self._failures >= self._terms.login_attempts
        return err(error.reply, error.code, change=Change.CLOSE if last else Change.LOGIN_FAILED)

    # TRANSACTION

    @property
    def _drop(self) -> Maildrop:
        assert self._maildrop is not None  # noqa: S101 - the command table lets none of these in before login
        return self._maildrop

    @property
    def _open_mailbox(self) -> Mailbox:
        assert self._mailbox is not None  # noqa: S101 - as _drop
        return self._mailbox

    async def _stat(self, _: Command) -> Reply:
        return ok(f"{self._drop.count} {self._drop.octets}")

    async def _list(self, command: Command) -> Reply:
        for number in command.numbers:
            return ok(f"{number} {self._drop.size(number)}")
        lines = (f"{number} {size}" for number, size in self._drop.sizes())
        return ok(self._describe(), lines=lines)

    def _describe(self) -> str:
        return f"maildrop has {_messages(self._drop.count)} ({self._drop.octets} octets)"

    async def _uidl(self, command: Command) -> Reply:
        for number in command.numbers:
            return ok(f"{number} {self._drop.unique_id(number)}")
        return ok("unique-ids follow", lines=(f"{number} {uid}" for number, uid in self._drop.unique_ids()))

    async def _dele(self, command: Command) -> Reply:
        self._drop.delete(command.numbers[0])
        return ok(f"message {command.numbers[0]} deleted")

    async def _noop(self, _: Command) -> Reply:
        return ok()

    async def _rset(self, _: Command) -> Reply:
        self._drop.reset()
        return ok(self._describe())

    async def _last(self, _: Command) -> Reply:
        return ok(str(self._drop.last))

    async def _retr(self, command: Command) -> Transfer:
        number = command.numbers[0]
        size = self._drop.size(number)
        body = await self._open_mailbox.open_body(self._drop.uid(number))

        def done(octets: int) -> None:
            self._drop.retrieve(number)
            self.tally.retrieved += 1
            self.tally.retrieved_octets += octets
            if octets != size:
                self._open_mailbox.learn(self._drop.uid(number), octets)

        return Transfer(ok(f"{size} octets"), whole(body, done))

    async def _top(self, command: Command) -> Transfer:
        number, lines = command.numbers
        drop = self._drop
        beginning = Beginning(self._open_mailbox, drop.uid(number), drop.size(number), lines)
        body = await beginning.open()
        self.tally.tops += 1
        return Transfer(ok("top of message follows"), beginning.blocks(body))

    # UPDATE

    async def _quit(self, _: Command) -> Reply:
        """The truth: +OK when all was done upstream, -ERR when some of it may not be (RFC 1939 section 6)."""
        if self._mailbox is None:
            return ok("bye", change=Change.CLOSE)
        plan = self._drop.plan()
        finished = True
        try:
            finished = await self._mailbox.commit(plan)
        except GatewayError as error:
            self._emit(CommandFailed(self.tally.user, "QUIT", str(error)))
            text = "some deleted messages may not be removed" if plan.delete else "the session ended badly"
            return err(f"{text}: {error.reply}", error.code, change=Change.CLOSE)
        finally:
            if finished:  # so that the client's next login finds no lock; else our caller closes after the reply
                await self.close()
        self.tally.deleted = len(plan.delete)
        return ok(f"{_messages(len(plan.delete))} deleted" if plan.delete else "bye", change=Change.CLOSE)


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


_HANDLERS: dict[str, Callable[[Session, Command], Awaitable[Reply | Transfer]]] = {
    "USER": Session._name,
    "PASS": Session._pass,
    "AUTH": Session._auth,
    "CAPA": Session._capa,
    "STLS": Session._stls,
    "STAT": Session._stat,
    "LIST": Session._list,
    "UIDL": Session._uidl,
    "DELE": Session._dele,
    "NOOP": Session._noop,
    "RSET": Session._rset,
    "LAST": Session._last,
    "RETR": Session._retr,
    "TOP": Session._top,
    "QUIT": Session._quit,
}
