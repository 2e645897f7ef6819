"""The AUTHORIZATION state: from the greeting to an open mailbox, or to the end of our patience.

USER and PASS, AUTH, and what stands between: no password in clear where that is not allowed, and wrong ones slowed
down. The maildrop's lock is taken once the password was found right.
"""

import asyncio
from collections.abc import Callable

from gateway.errors import BadCredentials, GatewayError, Refused, StateError
from gateway.maildrop import Maildrop
from gateway.pop3 import Change, Command, Offer, Reply, capabilities, challenge, err, ok
from gateway.ports import Account, Mailbox, MaildropLock, Peer, Services, Terms
from gateway.sasl import MECHANISMS, Credentials, Exchange, Secret
from gateway.telemetry.events import Event, LoggedIn, LoginFailed, LoginFailedHere


class Authorization:
    """`mailbox` and `lock` are there after a login, for the session to close."""

    def __init__(self, services: Services, terms: Terms, peer: Peer, emit: Callable[[Event], None]) -> None:
        self.tls_active = False
        self.user = ""  # as the client named itself last
        self.mailbox: Mailbox | None = None
        self.lock: MaildropLock | None = None
        self._services = services
        self._terms = terms
        self._peer = peer
        self._emit = emit
        self._name: str | None = None
        self._exchange: Exchange | None = None
        self._failures = 0

    def offer(self, *, authorized: bool) -> Offer:
        clear_text = self._clear_text_allowed()
        return Offer(
            authorized=authorized,
            tls_available=self._terms.tls_available and not self.tls_active,
            user_pass=clear_text,
            login_delay=self._services.login_delay.seconds,
            mechanisms=tuple(name for name, row in MECHANISMS.items() if clear_text or not row.clear_text),
        )

    def capa(self, *, authorized: bool) -> Reply:
        return ok("capabilities follow", lines=capabilities(self.offer(authorized=authorized)))

    def stls(self) -> Reply:
        if self.tls_active:
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
        if mechanism is None:
            return err(f"this mechanism is not offered; there is {' '.join(offered) or 'none without TLS'}")
        if mechanism.clear_text:
            self._demand_privacy()
        self._exchange = mechanism.begin()
        first = next(self._exchange)
        if command.initial is None:
            return challenge(first)
        return await self.advance(command.initial)

    def cancel(self, why: str) -> Reply:
        """The SASL exchange ends without a login."""
        self._exchange = None
        return err(why, "AUTH", change=Change.LOGIN_FAILED)

    async def advance(self, octets: bytes) -> Reply:
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

    async def close(self) -> None:
        """Leave the mailbox, then the lock. Idempotent."""
        try:
            if self.mailbox is not None:
                await self.mailbox.close()
        finally:
            lock, self.lock, self.mailbox = self.lock, None, None
            if lock is not None:
                lock.release()

    def _clear_text_allowed(self) -> bool:
        return self.tls_active or self._peer.is_loopback or self._terms.allow_plaintext

    def _demand_privacy(self) -> None:
        """RFC 8314 section 3, RFC 2595 section 2: no password in clear. No [AUTH]: it is none of RFC 3206's."""
        if not self._clear_text_allowed():
            why = "a password without TLS is not taken (listen.allow_plaintext)"
            self._emit(LoginFailed("", self._peer.address, "", why))
            way = "send STLS first" if self._terms.tls_available else "use the POP3S port"
            raise Refused(text=f"a password is not taken without TLS; {way}")

    async def _login(self, credentials: Credentials) -> Reply:
        self.user = credentials.user
        try:
            if not credentials.secret.reveal():
                raise BadCredentials(text="an empty password cannot log in")
            account = await self._services.accounts.resolve(credentials)
            self.mailbox = await self._open(account)
        except GatewayError as error:
            await self.close()
            return await self._failed(credentials.user, error)
        drop = Maildrop(self.mailbox.snapshot)
        self._emit(LoggedIn(credentials.user, self._peer.address, self.tls_active, drop.count, drop.octets))
        return ok(drop.description, change=Change.MAILDROP_OPEN)

    async def _open(self, account: Account) -> Mailbox:
        """The lock is taken once the password was found right: a stranger's guesses lock nobody out."""
        key = account.maildrop_key
        lock = self.lock = self._services.locks.lock(key)

        def admit() -> None:
            lock.acquire()
            self._services.login_delay.admit(key)

        mailbox = await self._services.mailboxes.open(account, admit)
        self._services.login_delay.logged_in(key)
        return mailbox

    async def _failed(self, user: str, error: GatewayError) -> Reply:
        """A failed login: wrong guesses are slowed down, then the connection is closed."""
        kind = LoginFailedHere if isinstance(error, StateError) else LoginFailed
        self._emit(kind(user, self._peer.address, error.code, str(error)))
        if not isinstance(error, BadCredentials):
            return err(error.reply, error.code, change=Change.LOGIN_FAILED)
        await asyncio.sleep(self._terms.failure_delay * 2**self._failures)
        self._failures += 1
        last = self._failures >= self._terms.login_attempts
        return err(error.reply, error.code, change=Change.CLOSE if last else Change.LOGIN_FAILED)
