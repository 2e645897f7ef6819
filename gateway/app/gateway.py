"""Settings in, wired objects out, and a drain on the way down."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.accounts import Checker, Doorkeeper, Nobody, PassThrough, StoredAccounts, WithFolders
from gateway.app.descriptors import affordable
from gateway.app.names import account_of, demand_usable_routes, folder_names, routes_of
from gateway.app.state import open_vault, state_of
from gateway.app.tokens import keeper_of, opening_of
from gateway.config import Settings
from gateway.errors import StateError
from gateway.imap.connections import Connections as UpstreamConnections
from gateway.imap.link import Timeouts
from gateway.imap.mailboxes import UpstreamMailboxes
from gateway.imap.means import Means
from gateway.imap.tls import trust as check_ca_file
from gateway.imap.warm import Limits as WarmLimits
from gateway.maildrop import Allowance
from gateway.oauth import demand_usable
from gateway.ports import Accounts, LockMode, Peer, Services, Terms
from gateway.remembered import RememberedMailboxes, Rooms
from gateway.server.certificate import fingerprint, self_signed
from gateway.server.conversation import Patience
from gateway.server.limits import Connections
from gateway.server.listener import Listener
from gateway.server.pair import Pair
from gateway.server.peers import Proxies
from gateway.server.sockets import Site
from gateway.server.tls import ServerTls, TlsTerms
from gateway.session import Session
from gateway.store import FileListings, StateFolder, demand_readable
from gateway.telemetry.events import (
    AccountsUnusable,
    CertificateMade,
    Event,
    GatewayStarted,
    LimitLowered,
    Listening,
    OldTlsAllowed,
    PageListening,
    Stopped,
    Stopping,
)
from gateway.threads import Threads
from gateway.workers import Share

if TYPE_CHECKING:
    from gateway.app.page import EnrolmentPage

# A QUIT whose update goes on after its reply, or a client that hung up and is back at once.
LOCK_PATIENCE_SECONDS = 2.0
FAREWELL_THREADS = 16  # nobody waits for these
ACCOUNT_THREADS = 4
HASH_THREADS = 4  # a password takes some 20 ms of a processor, and 19 MiB
LOOK_UP_THREADS = 5  # as many connections to a database as it has
# What a botnet may fill: a megabyte of counts, and four of places, which take a right password.
GUESSES, GUESSES_MOST = "guesses", 65_536
PLACES, PLACES_MOST = "places", 262_144
FAILURE_DELAY = 1.0  # seconds before the answer to a wrong password, doubled with each further one
YIELD_LOOK_SECONDS = 0.3
DRAIN_LOOK_SECONDS = 0.2
# A session that has said nothing for so long is between two looks at the mail, not in a transfer.
DRAIN_QUIET_SECONDS = 2.0
CLOSE_SECONDS = 2.0  # for conversations that are told to end, and then for farewells to the upstream
SWEEP_SECONDS = 10.0


class Gateway:
    """start(), then stop(). Raises SettingsError, StateError and CannotListen at the start, nothing later."""

    def __init__(self, settings: Settings, emit: Callable[[Event], None], share: Share | None = None) -> None:
        """`share` is what this process has of the gateway; without one it is all of it."""
        self.sites: list[Site] = []
        self._settings = settings
        self._share = share or Share()
        self._chores: list[asyncio.Task[None]] = []
        self._emit = emit
        _demand_usable_files(settings)
        possible, warm = self._possible()
        state = self._state = state_of(settings, emit)
        maildrop, patience = settings.maildrop, settings.upstream.timeouts
        logins, transfers = Threads(), Threads()
        ledger_threads, farewells = Threads(state.writers), Threads(FAREWELL_THREADS)
        self._account_threads, self._hashes = Threads(ACCOUNT_THREADS), Threads(HASH_THREADS)
        look_ups, ours = Threads(LOOK_UP_THREADS), (self._account_threads, self._hashes)
        self._threads = (logins, transfers, ledger_threads, farewells, *ours, look_ups)
        timeouts = Timeouts(patience.connect, patience.response, patience.open)
        self._vault = open_vault(settings, state)
        self._keeper = keeper_of(settings, state, self._vault, emit)
        self._upstream = UpstreamConnections(timeouts, warm, farewells, emit, tokens=self._keeper)
        listings = FileListings(state.folder.folder("listings"))
        means = Means(self._upstream, logins, transfers, timeouts, emit, listings, Allowance())
        with state.folder.alone():  # several processes may start at once, and find nothing there
            ledger = state.ledger()
            self._tls = self._server_tls(state.folder)
            doorkeeper = self._doorkeeper()
        rooms = Rooms(ledger, state.locks(), ledger_threads, emit)
        self._page = self._enrolment_page()
        self._routes = routes_of(settings, look_ups)
        self._services = Services(
            self._accounts(),
            RememberedMailboxes(UpstreamMailboxes(means), maildrop.guard.caution(), rooms),
            state.locks(maildrop.lock, LOCK_PATIENCE_SECONDS),
            state.login_delay(settings.limits.login_delay),
            doorkeeper,
        )
        self._connections = Connections(possible, settings.limits.connections_per_address, self._share.census)
        self._listeners = [self._listener(index) for index in range(len(settings.listen))]

    async def start(self) -> None:
        try:
            if self._share.sockets:  # whoever opened them says so, once for all workers
                pairs = zip(self._listeners, self._share.sockets, strict=False)
                self.sites = [listener.start(sockets) for listener, sockets in pairs]
            else:
                self.sites = [listener.start() for listener in self._listeners]
            if self._page:
                sockets = self._share.sockets[-1] if self._share.sockets else None
                self.sites.append(self._page.start(sockets, self.sites))
            if not self._share.sockets:
                announce(self._settings, self.sites, self._emit)
            if self._settings.accounts.pass_through:  # a token can be handed on, where it is taken
                self._upstream.ask_for_mechanisms(self._settings.upstream.endpoint())
            self._account_threads.start(self._prove_keys)
            self._chores.append(asyncio.create_task(self._sweep()))
            if self._state.is_shared or self._settings.maildrop.lock is LockMode.TAKEOVER:
                self._chores.append(asyncio.create_task(self._yield_maildrops()))
        except BaseException:
            self._stop_accepting()
            raise

    async def stop(self) -> None:
        """No new connections; sessions in transfer finish within the limit; the rest is closed."""
        self._stop_accepting()
        limit = self._settings.timeouts.shutdown
        self._emit(Stopping(len(self._connections), limit))
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        while (len(self._connections) or (self._page and self._page.is_busy)) and loop.time() < end:
            for conversation in self._connections:
                if conversation.is_quiet(DRAIN_QUIET_SECONDS):
                    conversation.see_off("the gateway is shutting down")
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        for conversation in self._connections:
            conversation.stop("the gateway is shutting down")
        await asyncio.gather(*(listener.end_conversations(CLOSE_SECONDS) for listener in self._listeners))
        if self._page:
            await self._page.end(CLOSE_SECONDS)
        for chore in self._chores:
            chore.cancel()
        await asyncio.to_thread(self._upstream.close, CLOSE_SECONDS)
        await asyncio.to_thread(self._keeper.attend)
        for threads in self._threads:
            threads.stop()
        self._routes.close()
        await asyncio.to_thread(self._state.close)
        self._emit(Stopped())

    def reload_certificate(self) -> None:
        """Now, whether its file has changed or not; nothing is interrupted."""
        self._tls.reload()

    async def _yield_maildrops(self) -> None:
        """End the sessions whose maildrop somebody else wants."""
        while True:
            for conversation in self._connections:
                if conversation.is_wanted_elsewhere:
                    conversation.stop("another session took over the maildrop")
            await asyncio.sleep(YIELD_LOOK_SECONDS)

    async def _sweep(self) -> None:
        while True:
            self._tls.look()
            self._upstream.sweep()
            self._account_threads.start(self._keeper.attend)
            await asyncio.sleep(SWEEP_SECONDS)

    def _prove_keys(self) -> None:
        """Who passes through needs no keys, so it is no reason not to serve."""
        try:
            self._vault.prove_keys()
        except StateError as error:
            self._emit(AccountsUnusable(str(error)))

    def _stop_accepting(self) -> None:
        for listener in self._listeners:
            listener.stop_accepting()
        if self._page:
            self._page.stop_accepting()

    def _accounts(self) -> WithFolders:
        threads, hashes = self._account_threads, self._hashes
        settings, checker, policy = self._settings, Checker(), self._settings.maildrop.policy()
        usual = settings.upstream.endpoint()
        if settings.accounts.pass_through:
            others: Accounts = PassThrough(usual, "", policy, self._upstream.mechanisms, self._routes)
        else:
            others = Nobody(checker, hashes, readable=settings.accounts.readable_passwords)
        stored = StoredAccounts(self._vault, opening_of(settings, ""), others, checker, threads, hashes)
        return WithFolders(stored, folder_names(settings), settings.maildrop.folder)

    def _doorkeeper(self) -> Doorkeeper:
        guesses, state, threads = self._settings.limits.guesses, self._state, self._account_threads
        held, places = state.deadlines(GUESSES, GUESSES_MOST), state.deadlines(PLACES, PLACES_MOST)
        whose = account_of(self._settings)
        return Doorkeeper(guesses.rules(), guesses.trusted, held, places, threads, self._emit, whose=whose)

    def _enrolment_page(self) -> "EnrolmentPage | None":
        if not self._settings.web.listen:
            return None
        from gateway.app.page import EnrolmentPage  # noqa: PLC0415 - with a template engine, for those who want it

        tls = partial(self._tls.context, tls_terms(self._settings)[-1])
        with self._state.folder.alone():  # it wants keys, which may be made now
            return EnrolmentPage(self._settings, self._state, self._vault, tls, self._emit)

    def _possible(self) -> tuple[int, WarmLimits]:
        """How many clients, and how many warm connections, there are file descriptors for."""
        wanted, kept = self._settings.limits.connections, self._settings.upstream.warm
        possible, warm = affordable(wanted, kept.connections)
        if (possible, warm) != (wanted, kept.connections):
            self._emit(LimitLowered(wanted, possible, kept.connections, warm))
        share = self._share
        return possible, WarmLimits(
            warm, kept.per_account, kept.idle, kept.age, worker=share.worker, workers=share.workers
        )

    def _listener(self, index: int) -> Listener:
        settings = self._settings
        described = settings.listen[index]
        terms = Terms(
            host=socket.gethostname(),
            tls_available=not described.implicit_tls,
            allow_plaintext=described.allow_plaintext,
            login_attempts=settings.limits.login_attempts,
            failure_delay=FAILURE_DELAY,
        )

        def make_session(peer: Peer) -> Session:
            return Session(self._services, terms, peer, self._emit)

        patience = Patience(settings.timeouts.idle, settings.timeouts.login, settings.timeouts.stalled)
        site = sites(settings)[index]
        tls = partial(self._tls.context, tls_terms(settings)[index])
        proxies = Proxies(described.proxy_from) if described.proxy_from else None
        return Listener(site, tls, make_session, self._connections, patience, self._emit, proxies)

    def _server_tls(self, state: StateFolder) -> ServerTls:
        configured, terms = self._settings.tls, tls_terms(self._settings)
        if configured.certificate is not None:
            return ServerTls(Pair(configured.certificate, configured.key), terms, self._emit)
        path, made = self_signed(state.folder("tls"))
        if made:
            self._emit(CertificateMade(str(path), fingerprint(path)))
        return ServerTls(Pair(path), terms, self._emit)


def preload(settings: Settings) -> None:
    """What every worker needs and none changes: loaded before they are forked, it is in memory once.

    Raises SettingsError.
    """
    _demand_usable_files(settings)
    demand_readable(settings.database)
    if settings.web.listen:
        from gateway.app import page  # noqa: F401, PLC0415


def _demand_usable_files(settings: Settings) -> None:
    """What would fail at the first login is told at the start. Raises SettingsError."""
    check_ca_file(settings.upstream.endpoint().ca_file)
    demand_usable_routes(settings)
    demand_usable(settings.clients().values())


def sites(settings: Settings) -> list[Site]:
    """Where the settings want it to listen, in their order; the enrolment page is last."""
    web = settings.web
    pages = [Site(*web.address, web.implicit_tls, "http")] if web.listen else []
    return [*pop3_sites(settings), *pages]


def pop3_sites(settings: Settings) -> list[Site]:
    return [Site(*listener.address, listener.implicit_tls) for listener in settings.listen]


def tls_terms(settings: Settings) -> list[TlsTerms]:
    """What its listeners want of TLS, in their order; the enrolment page is last."""
    usual = settings.tls.min_version
    terms = [TlsTerms(listener.min_version or usual, listener.client_ca_file) for listener in settings.listen]
    return [*terms, TlsTerms(usual)] if settings.web.listen else terms


def announce(settings: Settings, listening: Iterable[Site], emit: Callable[[Event], None]) -> None:
    emit(GatewayStarted(__version__, str(settings.upstream.endpoint())))
    found = list(listening)
    if settings.web.listen:
        page = found.pop()
        usual = f"{page.scheme}://localhost:{page.port}"
        emit(PageListening(str(page), settings.web.outside.geturl() if settings.web.url else usual))
    for described, site in zip(settings.listen, found, strict=True):
        emit(Listening(str(site)))
        if described.allows_old_tls:
            emit(OldTlsAllowed(str(site), str(described.min_version)))
