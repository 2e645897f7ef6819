"""From an invitation to an account: a person signs in with the mail provider, and a device gets an app password.

Blocking: the provider, the mail server and the vault are asked.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gateway.accounts import made
from gateway.errors import (
    AccountExists,
    AnotherMailbox,
    BadCredentials,
    BadRecord,
    InvitationVoid,
    NoSuchAccount,
    RegistrationRefused,
)
from gateway.maildrop import OnDelete, Policy
from gateway.oauth import Client, Provider, SignIn, begin, redeem
from gateway.ports import (
    Account,
    Endpoint,
    Grant,
    Invitation,
    Invitations,
    Locks,
    Renewal,
    StoredAccount,
    Tokens,
    Vault,
)
from gateway.sasl import Bearer, Secret

PATH = "/i/"  # of the page, with an invitation's token behind it
TOKEN_OCTETS = 24  # of an invitation: 192 bits
NAME_OCTETS = 4
INVITATION_SECONDS = 7 * 86_400.0  # to sign in, unless the operator says otherwise
LABEL_LETTERS = 60
PATIENCE_SECONDS = 30.0  # to wait for another who finishes a sign-in for the same account


def label_of(text: str) -> str:
    """As a person may have typed it: one line, not too long, and nothing that a terminal obeys."""
    return "".join(filter(str.isprintable, text)).strip()[:LABEL_LETTERS]


@dataclass(frozen=True, slots=True)
class Order:
    """What account an operator wants to be made. What is "" is as usual."""

    login: str
    provider: str = ""  # "": the person chooses
    user: str = ""  # at the upstream
    server: str = ""  # URL of the upstream
    folder: str = ""
    on_delete: str = ""
    label: str = ""  # of the app password
    read_only: bool = False

    @property
    def terms(self) -> dict[str, Any]:
        """What Invitation.terms keeps of it."""
        return {name: value for name, value in asdict(self).items() if name not in ("login", "provider")}

    @classmethod
    def of(cls, invitation: Invitation) -> "Order":
        """What another version has put there besides is left out."""
        known = {name: value for name, value in invitation.terms.items() if name in cls("").terms}
        return cls(invitation.login, invitation.provider, **known)

    def account(self, provider: Provider | None, now: float) -> StoredAccount:
        """Raises BadRecord."""
        usual = provider.on_delete if provider else None
        on_delete = OnDelete(self.on_delete) if self.on_delete else usual
        return made.new_account(
            self.login,
            Secret(""),
            now,
            user=self.user,
            upstream=self.server,
            folder=self.folder,
            on_delete=on_delete,
        )


@dataclass(frozen=True, slots=True)
class Welcome:
    """What an invitation is for."""

    order: Order
    providers: tuple[Provider, ...]  # to choose from, the likeliest first
    known: StoredAccount | None  # that gets a new grant; None: one is to be made
    expires: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that is under way: it is in the person's browser, sealed."""

    token: Secret  # the invitation's
    provider: str
    state: str = field(repr=False)
    verifier: Secret
    label: str
    wants_password: bool  # a further one, where the account has some


@dataclass(frozen=True, slots=True)
class Enrolled:
    login: str
    provider: Provider
    is_new: bool
    password: Secret | None  # None: those that the account has are good still
    label: str = ""


def invite(invitations: Invitations, order: Order, now: float, expires: float = 0.0) -> tuple[Invitation, Secret]:
    """One more, and its token. Raises BadRecord, StateError."""
    order.account(None, now)  # whether there can be such
    if len(order.label) > LABEL_LETTERS:
        raise BadRecord(f"a label has {LABEL_LETTERS} letters at most")
    until = expires or now + INVITATION_SECONDS
    if until <= now:
        raise BadRecord("an invitation ends in the future")
    token = Secret(secrets.token_urlsafe(TOKEN_OCTETS))
    name = secrets.token_hex(NAME_OCTETS)
    made_one = Invitation(name, order.login, order.provider, now, until, order.terms)
    invitations.sweep(now)
    invitations.add(token, made_one)
    return made_one, token


class Enrolment:
    """look(), begin(), finish(): what a person does with an invitation."""

    def __init__(
        self,
        vault: Vault,
        invitations: Invitations,
        clients: Mapping[str, Client],
        endpoint: Callable[[str], Endpoint],
        try_login: Callable[[Account], None],
        locks: Locks,
        *,
        readable: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`endpoint` reads an upstream's URL, `try_login` logs in there. Both may raise GatewayError. `locks` are
        exclusive, and wait for PATIENCE_SECONDS.
        """
        self.vault = vault
        self.invitations = invitations
        self._clients = {name: client for name, client in clients.items() if takes_people(client)}
        self._endpoint = endpoint
        self._try_login = try_login
        self._locks = locks
        self._readable = readable
        self._clock = clock

    @property
    def providers(self) -> tuple[Provider, ...]:
        """Those that people can sign in with: the settings have an application there."""
        return tuple(client.provider for client in self._clients.values())

    def invite(self, order: Order, seconds: float = INVITATION_SECONDS) -> tuple[Invitation, Secret]:
        """Good for so long; and its token. Raises BadRecord, StateError."""
        if order.provider and order.provider not in self._clients:
            raise BadRecord(f"nobody can sign in with {order.provider} here")
        now = self._clock()
        return invite(self.invitations, order, now, now + seconds)

    def look(self, token: Secret) -> Welcome:
        """Raises InvitationVoid, StateError."""
        found = self.invitations.look(token, self._clock())
        if found is None:
            raise InvitationVoid("no such invitation")
        order = Order.of(found)
        return Welcome(order, self._offered(order), self._known(order.login), found.expires)

    def begin(self, token: Secret, provider: str, redirect_uri: str) -> tuple[Welcome, SignIn]:
        """Raises InvitationVoid, BadRecord, ProviderError, StateError."""
        welcome = self.look(token)
        if provider not in {offered.name for offered in welcome.providers}:
            raise BadRecord("choose one of the mail providers")
        user = welcome.known.user if welcome.known else welcome.order.user or welcome.order.login
        return welcome, begin(self._clients[provider], redirect_uri, user)

    def finish(self, attempt: Attempt, redirect_uri: str, answer: str) -> Enrolled:
        """The invitation is used up by nothing but success, and last of all: it outlives a gateway that dies
        before. Raises InvitationVoid, SignInNeeded, AnotherMailbox, ProviderError, UpstreamError, StateError;
        MaildropInUse where others are at it for too long.
        """
        client = self._clients.get(attempt.provider)
        if client is None:  # it was taken out of the settings meanwhile
            raise RegistrationRefused(f"nobody can sign in with {attempt.provider} here any more")
        with self._alone(self.look(attempt.token).order.login):
            welcome = self.look(attempt.token)  # whoever was quicker has used it
            tokens = redeem(client, SignIn("", attempt.state, attempt.verifier, redirect_uri), answer)
            now = self._clock()
            account = welcome.known or welcome.order.account(client.provider, now)
            self._try(account, client.provider, tokens)
            self.look(attempt.token)  # it may have been withdrawn meanwhile
            try:
                self._keep(account, _grant(client.provider, tokens, now), is_new=welcome.known is None)
                password = self._password(account, welcome.order, attempt, now)
            except NoSuchAccount as error:  # and its invitations with it
                raise InvitationVoid("the account was removed meanwhile") from error
            self.invitations.consume(attempt.token, now)
        return Enrolled(account.login, client.provider, welcome.known is None, password, attempt.label)

    @contextlib.contextmanager
    def _alone(self, login: str) -> Iterator[None]:
        """In all processes: a code that is redeemed twice counts as stolen, and what it gave is revoked."""
        lock = self._locks.lock(f"enrolment\0{login.casefold()}")
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _offered(self, order: Order) -> tuple[Provider, ...]:
        if order.provider:
            return tuple(provider for provider in self.providers if provider.name == order.provider)
        domain = (order.user or order.login).rpartition("@")[2].casefold()
        return tuple(sorted(self.providers, key=lambda provider: domain not in provider.domains))

    def _known(self, login: str) -> StoredAccount | None:
        return None if self.vault.is_unused else self.vault.find(login)

    def _try(self, account: StoredAccount, provider: Provider, tokens: Tokens) -> None:
        """Whoever has signed in may be another than was invited: the mail server knows whose mailbox it opens."""
        claim = Bearer(account.user, tokens.access, provider.mechanism)
        try:
            endpoint = self._endpoint(account.upstream or provider.upstream)
            self._try_login(Account(endpoint, claim, account.folder, Policy()))
        except BadCredentials as error:
            raise AnotherMailbox(f"{account.user} cannot be opened with this sign-in: {error}") from error

    def _keep(self, account: StoredAccount, grant: Grant, *, is_new: bool) -> None:
        """One that was there is never made again: whoever removed it meanwhile meant it. Raises NoSuchAccount."""
        try:
            if is_new:
                self.vault.add(replace(account, passwords=(), grant=grant))
                return
        except AccountExists:  # the command line's
            pass
        self.vault.set_grant(account.login, grant)

    def _password(self, account: StoredAccount, order: Order, attempt: Attempt, now: float) -> Secret | None:
        if account.passwords and not attempt.wants_password:
            return None
        terms = made.Terms(attempt.label, read_only=order.read_only)
        password, shown = made.new_password(account, terms, now, readable=self._readable)
        self.vault.add_password(account.login, password)
        return shown


def takes_people(client: Client) -> bool:
    """Whether its owner can sign in there with a browser, as our application."""
    provider = client.provider
    has_a_page = provider.authorization or provider.issuer
    return bool(client.client_id and has_a_page) and Renewal.REFRESH in provider.renewals


def _grant(provider: Provider, tokens: Tokens, now: float) -> Grant:
    return Grant(
        provider.name,
        Renewal.REFRESH,
        since=now,
        refresh=tokens.refresh,
        access=tokens.access,
        expires=tokens.expires,
    )
