"""Where sessions get their connections from, and where they leave them: warm ones where there are, else new ones.

Blocking, but for give_back(), dismiss() and sweep(); from any thread.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from gateway.errors import (
    BadCredentials,
    GatewayError,
    SignInNeeded,
    TokenRefused,
    UpstreamFull,
    UpstreamRefused,
)
from gateway.imap.client import Client
from gateway.imap.faults import silent_about
from gateway.imap.link import (
    FAREWELL_SECONDS,
    NO_TOKENS,
    Timeouts,
    connect,
    connect_and_log_in,
    say_goodbye,
    say_goodbye_to_all,
)
from gateway.imap.login import as_sent
from gateway.imap.warm import Limits, WarmConnections
from gateway.ports import AccessTokens, Account, Endpoint, Granted
from gateway.telemetry.events import Event, UpstreamNotFound, UpstreamOffers, WarmConnectionLost
from gateway.threads import Threads

# A warm connection whose server vanished without a word says nothing: after so long a new one is tried.
FIRST_ANSWER_SECONDS = 5.0
# What failed later than this is not tried again: waits add up, and clients give up.
RETRY_WITHIN_SECONDS = 15.0
# Polls in a row do not pay for an UNSELECT each; a mailbox that nobody looks at is not kept open for longer.
UNSELECT_SECONDS = 30.0
FAREWELLS = 32  # under way at once; beyond these, connections are closed without a word

_T = TypeVar("_T")


class Connections:
    """open() or log_in(), then give_back()."""

    def __init__(
        self,
        timeouts: Timeouts,
        limits: Limits,
        farewells: Threads,
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
        tokens: AccessTokens = NO_TOKENS,
    ) -> None:
        """`farewells` run what nobody waits for: however many of those stall, logins go on. `tokens` are asked
        for when a connection logs in, and never for one that is warm.
        """
        self._timeouts = timeouts
        self._warm = WarmConnections(limits, clock)
        self._farewells = farewells
        self._emit = emit
        self._tokens = tokens
        self._mechanisms: dict[Endpoint, frozenset[str]] = {}
        self._leaving = 0
        self._guard = threading.Lock()

    def open(
        self, account: Account, admit: Callable[[], None], begin: Callable[[Client], _T]
    ) -> tuple[Client, _T]:
        """A logged-in connection, and what `begin` made of it. `admit` is called once, between the two.

        Whatever fails on a warm connection is tried on a new one: only there it is the server's last word. Raises
        as log_in() does, and what `admit` and `begin` raise.
        """
        warm = self._take(account)
        if warm is not None:
            self._admit(account, warm, admit)
            began = time.monotonic()
            warm.transport.end_by(self._timeouts.open)
            warm.transport.expect_within(FIRST_ANSWER_SECONDS)
            try:
                return warm, self._begin(warm, begin)
            except GatewayError as error:
                if time.monotonic() - began > RETRY_WITHIN_SECONDS:
                    raise
                self._emit(WarmConnectionLost(account.user, str(error)))
        client = self.log_in(account)
        if warm is None:
            self._admit(account, client, admit)
        return client, self._begin(client, begin)

    def log_in(self, account: Account) -> Client:
        """On a new connection. Raises as connect_and_log_in() does."""
        try:
            client = self._connect(account)
        except (BadCredentials, SignInNeeded, TokenRefused):
            self._dismiss_all(self._warm.rejected(account))
            raise
        self._mechanisms[account.endpoint] = client.mechanisms
        self._dismiss_all(self._warm.accepted(account, client))
        return client

    def mechanisms(self, endpoint: Endpoint) -> frozenset[str]:
        """Of SASL, that the server offered last; none before it was asked."""
        return self._mechanisms.get(endpoint, frozenset())

    def ask_for_mechanisms(self, endpoint: Endpoint) -> None:
        """Now, and nobody waits."""
        self._farewells.start(self._ask, endpoint)

    def give_back(self, account: Account, client: Client) -> None:
        """The session is over. Only a connection that owes us nothing is kept."""
        if not client.at_rest:
            self.dismiss(client)
            return
        client.transport.end_by(math.inf)
        client.shrink()
        if not isinstance(account.credentials, Granted):
            client.secrets = ()  # no password is kept while nobody is there who has shown it
        self._dismiss_all(self._warm.give(account, client))

    def dismiss(self, client: Client) -> None:
        """Nobody waits for the farewell."""
        with self._guard:
            too_many = self._leaving >= FAREWELLS
            if not too_many:
                self._leaving += 1
        if too_many:
            client.transport.close()
        else:
            self._farewells.start(self._see_off, client)

    def sweep(self) -> None:
        """Now and then: what has rested for too long goes, and what rests lets go of its mailbox."""
        self._dismiss_all(self._warm.expired())
        for client in self._warm.unselectable(UNSELECT_SECONDS):
            self._farewells.start(self._unselect, client)

    def close(self, seconds: float) -> None:
        """Nothing is kept any more. `seconds` bounds the farewell of all together."""
        say_goodbye_to_all(self._warm.close(), seconds)

    def _ask(self, endpoint: Endpoint) -> None:
        try:
            client = connect(endpoint, self._timeouts)
        except GatewayError as error:
            self._emit(UpstreamNotFound(str(endpoint), str(error)))
            return
        self._mechanisms[endpoint] = client.mechanisms
        self._emit(UpstreamOffers(str(endpoint), " ".join(sorted(client.mechanisms))))
        say_goodbye(client)

    def _take(self, account: Account) -> Client | None:
        while (client := self._warm.take(account)) is not None:
            if client.is_well():
                if not isinstance(account.credentials, Granted):
                    client.secrets = as_sent(account.credentials)
                return client
            self._emit(WarmConnectionLost(account.user, "the server ended it"))
            client.transport.close()
        return None

    def _connect(self, account: Account) -> Client:
        """Where the server has too many connections, ours that do nothing make room."""
        try:
            return connect_and_log_in(account, self._timeouts, self._tokens)
        except UpstreamFull:
            leaving = self._warm.withdraw(account) or self._warm.withdraw_one(account.endpoint)
            if not leaving:
                raise
        say_goodbye_to_all(leaving, FAREWELL_SECONDS)  # waited for: the server counts them until they are gone
        return connect_and_log_in(account, self._timeouts, self._tokens)

    def _admit(self, account: Account, client: Client, admit: Callable[[], None]) -> None:
        try:
            admit()
        except BaseException:
            self.give_back(account, client)  # who finds the maildrop in use asks again soon
            raise

    def _begin(self, client: Client, begin: Callable[[Client], _T]) -> _T:
        try:
            with silent_about(*client.secrets):
                begun = begin(client)
        except BaseException as error:
            self.dismiss(client)
            if isinstance(error, BadCredentials):  # said of SELECT: the password had been accepted
                raise UpstreamRefused(str(error)) from error
            raise
        client.transport.end_by(math.inf)
        return begun

    def _unselect(self, client: Client) -> None:
        """Must not raise."""
        try:
            client.transport.allow(FAREWELL_SECONDS)
            client.unselect()
            client.shrink()
        except Exception:
            self._warm.discard(client)
            client.transport.close()
        else:
            if not self._warm.back(client):
                say_goodbye(client)

    def _dismiss_all(self, clients: Iterable[Client]) -> None:
        for client in clients:
            self.dismiss(client)

    def _see_off(self, client: Client) -> None:
        try:
            say_goodbye(client)
        finally:
            with self._guard:
                self._leaving -= 1
