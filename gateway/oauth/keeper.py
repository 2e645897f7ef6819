"""Access tokens for whoever connects: the one that is known while it is good, else the provider is asked, once.

However many sessions, workers and machines wait for a token of one account, one of them asks; the others find in
the vault what came of it, a failure too. The vault is looked at for each connection that logs in, and no copy is
kept beside it: to read and decrypt a grant takes a tenth of a millisecond, and what others have written is seen.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.errors import MaildropInUse, ProviderError, SignInNeeded, StateError, TokenRefused
from gateway.oauth.gates import Gates
from gateway.oauth.lines import Lines
from gateway.ports import Grant, Granted, Locks, Renewal, Renewer, Tokens, Vault
from gateway.sasl import Bearer, Secret
from gateway.telemetry.events import Event, GrantEnded, GrantKept, GrantNotKept, ProviderFailed, TokenRenewed

# Of life that a token has at least when it is handed out: a login takes up to a minute and a half, and the clocks
# of provider, mail server and gateway differ. A short-lived one would never have that: a tenth of its life.
MARGIN_SECONDS = 300.0
MARGIN_SHARE = 0.1
# A provider that has just failed is not asked again so soon: it may be down for all, and slow to say so.
FAULT_SECONDS = 5.0
# One that wants a new sign-in is: an admin can mend a consent or a policy without one.
TROUBLE_SECONDS = 900.0
# Between two tokens that are asked for because the mail server took none: it may never take one.
TURNED_DOWN_SECONDS = 300.0
# To wait while another asks. Mail programs give up after about 110 s, and the mail server is still to be asked.
PATIENCE_SECONDS = 30.0


def lock_key(login: str) -> str:
    """Not a maildrop's: those have four parts."""
    return f"oauth\0{login.casefold()}"


class TokenKeeper:
    """Implements ports.AccessTokens over a vault, a lock that all who share it respect, and a provider."""

    def __init__(
        self,
        vault: Vault,
        locks: Locks,
        renewer: Renewer,
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`locks` are exclusive, and wait for PATIENCE_SECONDS."""
        self._vault = vault
        self._locks = locks
        self._renewer = renewer
        self._emit = emit
        self._clock = clock
        self._gates = Gates()
        self._lines = Lines()
        self._unwritten: dict[str, Grant] = {}  # by login: what could not be written yet

    def bearer(self, granted: Granted, refused: Secret | None = None) -> Bearer:
        """As ports.AccessTokens has it. While a token lives, it makes up for a provider that is away."""
        seen = self._look(granted.login)
        try:
            token = settled(seen, refused, self._clock())
            if token is None:
                token = self._wait_for_another(granted, seen, refused)
        except (ProviderError, StateError):
            token = _usable(seen, refused)
            if token is None or seen.trouble or self._clock() >= seen.expires:
                raise
        return Bearer(granted.user, token, granted.mechanism)

    def attend(self) -> None:
        """To be called every now and then, and at the end: what could not be written is tried again. Blocking."""
        for login in list(self._unwritten):
            with contextlib.suppress(ProviderError, StateError), self._alone(login):
                self._write_down(login)

    def _write_down(self, login: str) -> None:
        """Alone: else what another has been given meanwhile would be overwritten, and a refresh token with it that
        is the only good one. Raises StateError.
        """
        pending = self._unwritten.get(login.casefold())
        if pending is None:
            return
        known = self._vault.grant(login)
        kept = _is_later(pending, known) and self._vault.revise_grant(login, pending)
        del self._unwritten[login.casefold()]
        if kept and pending.renewed == pending.tried:  # a token, and not replaced by a new sign-in
            self._emit(GrantKept(login, pending.provider))

    def _wait_for_another(self, granted: Granted, seen: Grant, refused: Secret | None) -> Secret:
        with self._alone(granted.login):
            with contextlib.suppress(StateError):
                self._write_down(granted.login)
            grant = self._look(granted.login)
            asked_meanwhile = (grant.since, grant.tried) != (seen.since, seen.tried)
            known = settled(grant, refused, self._clock(), asked_meanwhile=asked_meanwhile)
            if known is not None:
                return known
            with self._lines.to(grant.provider):
                return self._ask(granted, grant, refused)

    def _ask(self, granted: Granted, grant: Grant, refused: Secret | None) -> Secret:
        """Written before it is done, so that nothing is asked for that could not be kept; and after."""
        login = granted.login
        grant = replace(grant, tried=self._clock(), fault="")
        if not self._vault.revise_grant(login, grant):
            raise _replaced(login)
        try:
            tokens = self._renewer.renew(grant, granted.user, self._password(grant, login))
        except SignInNeeded as error:
            self._keep(login, replace(grant, tried=self._clock(), trouble=str(error)))
            self._emit(GrantEnded(login, grant.provider, str(error)))
            raise
        except ProviderError as error:
            self._keep(login, replace(grant, tried=self._clock(), fault=str(error)))
            self._emit(ProviderFailed(login, grant.provider, str(error)))
            raise
        renewed = _with_tokens(grant, tokens, self._clock())
        if _is_turned_down(grant, refused):
            renewed = replace(renewed, turned_down=renewed.renewed)
        unwritten = self._keep(login, renewed)
        self._emit(TokenRenewed(login, grant.provider, int(max(renewed.expires - renewed.renewed, 0))))
        if unwritten:
            self._emit(GrantNotKept(login, grant.provider, str(unwritten)))
        return tokens.access

    def _look(self, login: str) -> Grant:
        grant = self._vault.grant(login)
        if grant is None:
            raise SignInNeeded(f"nothing is granted for {login} any more")
        pending = self._unwritten.get(login.casefold())
        return pending if pending and _is_later(pending, grant) else grant

    def _keep(self, login: str, grant: Grant) -> StateError | None:
        """Why it could not be written yet. Raises ProviderError where somebody has signed in anew: what came of
        the old grant counts no more.
        """
        try:
            if not self._vault.revise_grant(login, grant):
                raise _replaced(login)
        except StateError as error:
            self._unwritten[login.casefold()] = grant
            return error
        self._unwritten.pop(login.casefold(), None)
        return None

    @contextlib.contextmanager
    def _alone(self, login: str) -> Iterator[None]:
        lock = self._locks.lock(lock_key(login))
        with self._gates.alone(login.casefold(), PATIENCE_SECONDS):
            try:
                lock.acquire()
            except MaildropInUse as error:
                raise ProviderError(f"another process has waited for it for {PATIENCE_SECONDS:.0f} s") from error
            try:
                yield
            finally:
                lock.release()

    def _password(self, grant: Grant, login: str) -> Secret:
        stored = self._vault.find(login) if grant.renewal is Renewal.PASSWORD else None
        return stored.secret if stored else Secret("")


def settled(grant: Grant, refused: Secret | None, now: float, *, asked_meanwhile: bool = False) -> Secret | None:
    """The token to go on with; None: the provider is to be asked. Raises what it said, where that counts still.

    `asked_meanwhile`: somebody else has asked it since we began to wait.
    """
    usable = _usable(grant, refused)
    if grant.trouble:
        if asked_meanwhile or _is_within(TROUBLE_SECONDS, grant.tried, now):
            raise SignInNeeded(grant.trouble)
        return None
    if usable is not None and (not grant.expires or grant.expires - now > _margin(grant)):
        return usable
    if _is_turned_down(grant, refused) and _is_within(TURNED_DOWN_SECONDS, grant.turned_down, now):
        raise TokenRefused(f"another token of {grant.provider} was turned down a moment ago")
    if grant.fault and (asked_meanwhile or _is_within(FAULT_SECONDS, grant.tried, now)):
        raise ProviderError(grant.fault)
    return None


def _is_turned_down(grant: Grant, refused: Secret | None) -> bool:
    return refused is not None and grant.access == refused


def _usable(grant: Grant, refused: Secret | None) -> Secret | None:
    return None if _is_turned_down(grant, refused) else grant.access


def _margin(grant: Grant) -> float:
    return min(MARGIN_SECONDS, MARGIN_SHARE * (grant.expires - (grant.renewed or grant.since)))


def _is_within(seconds: float, since: float, now: float) -> bool:
    """Not where the clock was set back, or another machine's is ahead: that would be for long."""
    return 0 <= now - since < seconds


def _is_later(pending: Grant, known: Grant | None) -> bool:
    """Of the same sign-in. The last token came with the refresh token that is good, whatever the provider told
    others who asked with an earlier one.
    """
    if known is None or known.since != pending.since:
        return False
    return (pending.renewed, pending.tried) >= (known.renewed, known.tried)


def _with_tokens(grant: Grant, tokens: Tokens, now: float) -> Grant:
    return replace(
        grant,
        refresh=tokens.refresh or grant.refresh,
        access=tokens.access,
        expires=tokens.expires,
        renewed=now,
        tried=now,
        fault="",
        trouble="",
    )


def _replaced(login: str) -> ProviderError:
    return ProviderError(f"somebody is signing in anew for {login}; the next login has it")
