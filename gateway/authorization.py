"""The AUTHORIZATION state: from the greeting to an open mailbox, or to the end of our patience.

USER and PASS, AUTH, and what stands between: no password in clear where that is not allowed, and wrong ones slowed
down. The maildrop's lock is taken once the password was found right.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

from gateway.errors import (
    BadCredentials,
    GatewayError,
    LockedOut,
    MisplacedPassword,
    Refused,
    StateError,
    StoredSecretRefused,
)
from gateway.maildrop import Maildrop
from gateway.pop3 import Change, Command, Offer, Reply, capabilities, challenge, err, ok
from gateway.ports import Account, Channel, Mailbox, MaildropLock, Peer, Services, Terms, Visit
from gateway.sasl import (
    MECHANISMS,
    TOKEN_REFUSALS,
    Bearer,
    Certified,
    Claim,
    Credentials,
    Exchange,
    Keyring,
    Mechanism,
    Needs,
    Occasion,
    Proof,
    Question,
    Secret,
    apop,
)
from gateway.telemetry.events import Event, LoggedIn, LoginFailed, LoginFailedHere

# Until a challenge that keys were looked up for: to decrypt those of a name that has some takes a tenth of it.
CHALLENGE_DELAY = 0.005
MOST_DOUBLINGS = 4  # of the delay before the answer to a wrong password: mail programs wait for about a minute


class Authorization:
    """`mailbox` and `lock` are there after a login, for the session to close."""

    def __init__(self, services: Services, terms: Terms, peer: Peer, emit: Callable[[Event], None]) -> None:
        self.channel: Channel | None = None  # TLS, where it is active
        self.user = ""  # as the client named itself last
        self.mailbox: Mailbox | None = None
        self.lock: MaildropLock | None = None
        self._services = services
        self._terms = terms
        self._peer = peer
        self._emit = emit
        self._name: str | None = None
        self._exchange: Exchange | None = None
        self._held_back: Reply | None = None  # to a token that was refused, until the client has read why
        self._visit: Visit | None = None  # of the login under way, once a name is known
        self._failures = 0
        self._asked = 0.0  # when the command came that is being answered, by the event loop's clock
        # RFC 1939 section 7: the process-ID and a clock are its example; what counts is that none comes twice.
        self._stamp = f"<{secrets.token_hex(16)}@{terms.host}>"

    async def greeting(self) -> Reply:
        """With a stamp where APOP works, and only there: clients try it on sight."""
        await self._services.accounts.look()
        return ok(f"pop3-gateway ready{f' {self._stamp}' if self._has(Needs.SECRET) else ''}")

    def offer(self, *, authorized: bool) -> Offer:
        clear_text = self._clear_text_allowed()
        return Offer(
            authorized=authorized,
            tls_available=self._terms.tls_available and self.channel is None,
            user_pass=clear_text and self._has(Needs.PASSWORD),
            login_delay=self._services.login_delay.seconds,
            mechanisms=tuple(name for name, row in MECHANISMS.items() if self._works(row)),
        )

    def capa(self, *, authorized: bool) -> Reply:
        return ok("capabilities follow", lines=capabilities(self.offer(authorized=authorized)))

    def stls(self) -> Reply:
        if self.channel is not None:
            return err("TLS is active already")
        if not self._terms.tls_available:
            return err("TLS is not available here")
        return ok("begin TLS", change=Change.TLS_STARTS)

    def user_command(self, command: Command) -> Reply:
        self._name = None
        self._demand_privacy()
        if not command.text:
            return err("USER takes a name")
        self._name = command.text
        return ok("send PASS")

    def forget_user(self) -> None:
        """PASS is for immediately after a successful USER (RFC 1939 section 7)."""
        self._name = None

    async def pass_command(self, command: Command) -> Reply:
        self._asked = asyncio.get_running_loop().time()
        name, self._name = self._name, None
        if name is None:
            return err("send USER first")
        self._demand_privacy()
        return await self._login(Credentials(name, Secret(command.text)))

    async def auth_command(self, command: Command) -> Reply:
        offered = self.offer(authorized=False).mechanisms
        if not command.text:  # Outlook and Mozilla ask so what there is; Dovecot and Courier answer so
            return ok("mechanisms follow", lines=offered)
        mechanism = MECHANISMS.get(command.text)
        if mechanism is not None and mechanism.clear_text and self._has(mechanism.needs):
            self._demand_privacy()
        if mechanism is None or not self._works(mechanism):
            return err(f"this mechanism is not offered; there is {' '.join(offered) or 'none without TLS'}")
        self._exchange = mechanism.begin(self._occasion())
        first = await self._step(None)
        return first if command.initial is None else await self._step(command.initial)

    async def apop_command(self, command: Command) -> Reply:
        if not self._has(Needs.SECRET):
            return err("APOP is not offered")
        self._exchange = apop(self._occasion(), *command.text.rsplit(" ", 1))
        return await self._step(None)

    def cancel(self, why: str) -> Reply:
        """The SASL exchange ends without a login."""
        held_back, self._held_back = self._held_back, None
        self._exchange = self._visit = None
        return held_back or err(why, "AUTH", change=Change.LOGIN_FAILED)

    async def advance(self, octets: bytes) -> Reply:
        """One step of the SASL exchange. RFC 7628 section 3.2.3: what answers a refusal says nothing."""
        held_back, self._held_back = self._held_back, None
        return held_back or await self._step(octets)

    async def close(self) -> None:
        """Leave the mailbox, then the lock. Idempotent."""
        try:
            if self.mailbox is not None:
                await self.mailbox.close()
        finally:
            lock, self.lock, self.mailbox = self.lock, None, None
            if lock is not None:
                lock.release()

    async def _step(self, answer: bytes | Keyring | None) -> Reply:
        """What the exchange says to it; what it asks for meanwhile is looked up."""
        assert self._exchange is not None  # noqa: S101 - the connection is in the AUTHENTICATING state
        self._asked = asyncio.get_running_loop().time()
        delay = 0.0
        try:
            if self._visit:  # guesses that wait for their challenges all at once are not counted too late
                await self._visit.admit()
            said = next(self._exchange) if answer is None else self._exchange.send(answer)
            while isinstance(said, Question):
                self.user, delay = said.user, CHALLENGE_DELAY
                with (await self._knock(said.user, None)).under_way():
                    said = self._exchange.send(await self._services.accounts.keyring(said.user))
            await self._wait_until(delay)
            return challenge(said)
        except StopIteration as end:
            self._exchange = None
            return await self._login(end.value)
        except GatewayError as error:
            self._exchange = None
            return await self._failed(self.user, error)

    def _occasion(self) -> Occasion:
        channel = self.channel or Channel()
        return Occasion(self._stamp, secrets.token_urlsafe(18), channel.bindings, channel.certified)

    def _has(self, needs: Needs) -> bool:
        return needs in self._services.accounts.offers

    def _works(self, mechanism: Mechanism) -> bool:
        """Here, now: what cannot work is not offered."""
        channel = self.channel or Channel()
        return (
            self._has(mechanism.needs)
            and (not mechanism.clear_text or self._clear_text_allowed())
            and (not mechanism.bound or bool(channel.bindings))
            and (mechanism.needs is not Needs.CERTIFICATE or bool(channel.certified))
        )

    def _clear_text_allowed(self) -> bool:
        return self.channel is not None or self._peer.is_loopback or self._terms.allow_plaintext

    def _demand_privacy(self) -> None:
        """RFC 8314 section 3, RFC 2595 section 2: no password in clear. No [AUTH]: it is none of RFC 3206's."""
        if not self._clear_text_allowed():
            why = "a password without TLS is not taken (listen.allow_plaintext)"
            self._emit(LoginFailed("", self._peer.address, "", why))
            way = "send STLS first" if self._terms.tls_available else "use the POP3S port"
            raise Refused(text=f"a password is not taken without TLS; {way}")

    async def _login(self, claim: Claim) -> Reply:
        self.user = claim.authorization or claim.names[0] if isinstance(claim, Certified) else claim.user
        try:
            if isinstance(claim, Credentials) and not claim.secret.reveal():
                raise BadCredentials(text="an empty password cannot log in")
            if isinstance(claim, Credentials | Bearer):  # who has proved a password has knocked already
                await self._knock(claim.user, claim.secret)
            with self._visit.under_way() if self._visit else nullcontext():
                account = await self._services.accounts.resolve(claim, self._met())
                self.user = account.stored_as or self.user  # of a certificate's names, the one with the account
                self.mailbox = await self._open(account)
            if self._visit:
                await self._visit.succeeded()
        except GatewayError as error:
            await self.close()
            if isinstance(claim, Proof):  # the password was right: whatever failed then is no guess
                self._visit = None
            reply = await self._failed(self.user, error)
            return self._explained(claim, reply) if isinstance(error, BadCredentials) else reply
        drop = Maildrop(self.mailbox.snapshot)
        version = self.channel.version if self.channel else ""
        where = (self.user, self._peer.address, version)
        self._emit(LoggedIn(*where, drop.count, drop.octets, account.opened_with))
        return ok(drop.description, change=Change.MAILDROP_OPEN)

    def _explained(self, claim: Claim, refusal: Reply) -> Reply:
        """RFC 7628 section 3.2.2: whoever came with a token is told first, in a challenge, that it is no good."""
        if not isinstance(claim, Bearer):
            return refusal
        self._held_back = refusal
        return challenge(TOKEN_REFUSALS[claim.mechanism])

    def _met(self) -> Peer:
        """The client as it is now."""
        return replace(self._peer, encrypted=self.channel is not None, attempt=self._failures + 1)

    async def _knock(self, user: str, secret: Secret | None) -> Visit:
        """Whoever is locked out does not get his password looked at. Raises LockedOut, and BadCredentials."""
        self._visit = visit = self._services.doorkeeper.visit(user, self._peer.address, secret)
        await visit.admit()
        return visit

    async def _open(self, account: Account) -> Mailbox:
        """The lock is taken once the password was found right: a stranger's guesses lock nobody out."""
        key = account.maildrop_key
        lock = self.lock = self._services.locks.lock(key)

        def admit() -> None:
            lock.acquire()
            self._services.login_delay.admit(key)

        try:
            mailbox = await self._services.mailboxes.open(account, admit)
        except BadCredentials as error:
            if account.stored_as:  # no guess of the client's
                why = f"{error}; change it with: pop3-gateway account upstream-password {account.stored_as}"
                raise StoredSecretRefused(why) from error
            if account.given_by:
                raise StoredSecretRefused(f"{error}; {account.given_by} has given this password") from error
            raise
        self._services.login_delay.logged_in(key)
        return mailbox

    async def _failed(self, user: str, error: GatewayError) -> Reply:
        """A failed login: wrong guesses are counted and slowed down, then the connection is closed."""
        visit, self._visit = self._visit, None
        guess = error if isinstance(error, BadCredentials) and not isinstance(error, MisplacedPassword) else None
        kind = LoginFailedHere if isinstance(error, StateError) else LoginFailed
        try:
            held = await visit.failed(guess) if visit and guess else 0
        finally:  # told once it is counted, and also where nobody waits for the answer
            self._emit(kind(user, self._peer.address, error.code, str(error)))
        if not isinstance(error, BadCredentials | LockedOut):
            return err(error.reply, error.code, change=Change.LOGIN_FAILED)
        await self._slow_down(max(self._failures, held - 1))
        self._failures += 1
        last = self._failures >= self._terms.login_attempts
        return err(error.reply, error.code, change=Change.CLOSE if last else Change.LOGIN_FAILED)

    async def _slow_down(self, doublings: int) -> None:
        await self._wait_until(self._terms.failure_delay * 2 ** min(doublings, MOST_DOUBLINGS))

    async def _wait_until(self, delay: float) -> None:
        """Counted from the question: how long the work took tells nobody whether there is such a name."""
        if delay:
            await asyncio.sleep(self._asked + delay - asyncio.get_running_loop().time())
