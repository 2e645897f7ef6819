"""The composition root: settings in, wired objects out, and a drain on the way down."""

import asyncio
import resource
from collections.abc import Callable, Iterable

from gateway import __version__
from gateway.accounts import PassThrough
from gateway.config import Settings
from gateway.imap.connections import Connections as UpstreamConnections
from gateway.imap.link import Timeouts
from gateway.imap.mailbox import Means
from gateway.imap.mailboxes import UpstreamMailboxes
from gateway.imap.tls import trust as check_ca_file
from gateway.imap.warm import Limits as WarmLimits
from gateway.maildrop import Allowance
from gateway.ports import LockMode, Peer, Services, Terms
from gateway.remembered import RememberedMailboxes, Rooms
from gateway.server.certificate import fingerprint, self_signed
from gateway.server.conversation import Patience
from gateway.server.limits import Connections
from gateway.server.listener import Listener
from gateway.server.pair import Pair
from gateway.server.sockets import Site
from gateway.server.tls import ServerTls
from gateway.session import Session
from gateway.store import FileListings, FileLocks, FileLoginDelay, SqliteLedger, StateFolder
from gateway.telemetry.events import (
    CertificateMade,
    Event,
    GatewayStarted,
    LimitLowered,
    Listening,
    StateReplaced,
    Stopped,
    Stopping,
)
from gateway.threads import Threads
from gateway.workers import Share

# A QUIT whose update goes on after its reply, or a client that hung up and is back at once.
LOCK_PATIENCE_SECONDS = 2.0
LEDGER_THREADS = 2  # SQLite has one writer anyway
FAREWELL_THREADS = 16  # nobody waits for these
LEDGER_FILE = "maildrops.sqlite3"
LOGINS_FOLDER = "logins"
FAILURE_DELAY = 1.0  # seconds before the answer to a wrong password, doubled with each further one
YIELD_LOOK_SECONDS = 0.3
DRAIN_LOOK_SECONDS = 0.2
# A session that has said nothing for so long is between two looks at the mail, not in a transfer.
DRAIN_QUIET_SECONDS = 2.0
CLOSE_SECONDS = 2.0  # for conversations that are told to end, and then for farewells to the upstream
SWEEP_SECONDS = 10.0
FILES_PER_CONNECTION = 3  # the client, the upstream, the lock
FILES_BESIDE = 64


class Gateway:
    """start(), then stop(). Raises SettingsError, StateError and CannotListen at the start, nothing later."""

    def __init__(self, settings: Settings, emit: Callable[[Event], None], share: Share | None = None) -> None:
        """`share` is what this process has of the gateway; without one it is all of it."""
        self.sites: list[Site] = []
        self._settings = settings
        self._share = share or Share()
        self._chores: list[asyncio.Task[None]] = []
        self._emit = emit
        state = StateFolder(settings.state)
        endpoint = settings.upstream.endpoint()
        check_ca_file(endpoint.ca_file)
        possible, warm = self._possible()
        maildrop, patience = settings.maildrop, settings.upstream.timeouts
        logins, transfers = Threads(), Threads()
        ledger_threads, farewells = Threads(LEDGER_THREADS), Threads(FAREWELL_THREADS)
        self._threads = (logins, transfers, ledger_threads, farewells)
        timeouts = Timeouts(patience.connect, patience.response, patience.open)
        self._upstream = UpstreamConnections(timeouts, warm, farewells, emit)
        listings = FileListings(state.folder("listings"))
        means = Means(self._upstream, logins, transfers, timeouts, emit, listings, Allowance())
        file, locks = state.path / LEDGER_FILE, state.folder("locks")
        with state.alone():  # several processes may start at once, and find nothing there
            ledger = SqliteLedger(file, lambda: emit(StateReplaced(str(file))))
            self._tls = self._server_tls(state)
        rooms = Rooms(ledger, FileLocks(locks), ledger_threads, emit)
        self._services = Services(
            PassThrough(endpoint, maildrop.folder, maildrop.policy()),
            RememberedMailboxes(UpstreamMailboxes(means), maildrop.guard.caution(), rooms),
            FileLocks(locks, maildrop.lock, LOCK_PATIENCE_SECONDS),
            FileLoginDelay(state.path / LOGINS_FOLDER, settings.limits.login_delay),
        )
        self._connections = Connections(possible, settings.limits.connections_per_address, self._share.census)
        self._listeners = [self._listener(index) for index in range(len(settings.listen))]

    async def start(self) -> None:
        try:
            if self._share.sockets:  # whoever opened them says so, once for all workers
                pairs = zip(self._listeners, self._share.sockets, strict=True)
                self.sites = [listener.start(sockets) for listener, sockets in pairs]
            else:
                self.sites = [listener.start() for listener in self._listeners]
                announce(self._settings, self.sites, self._emit)
            self._chores.append(asyncio.create_task(self._sweep()))
            if self._settings.maildrop.lock is LockMode.TAKEOVER:
                self._chores.append(asyncio.create_task(self._yield_maildrops()))
        except BaseException:
            await self._stop_accepting()
            raise

    async def stop(self) -> None:
        """No new connections; sessions in transfer finish within the limit; the rest is closed."""
        await self._stop_accepting()
        limit = self._settings.timeouts.shutdown
        self._emit(Stopping(len(self._connections), limit))
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        while len(self._connections) and loop.time() < end:
            for conversation in self._connections:
                if conversation.is_quiet(DRAIN_QUIET_SECONDS):
                    conversation.stop("the gateway is shutting down")
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        for conversation in self._connections:
            conversation.stop("the gateway is shutting down")
        await asyncio.gather(*(listener.end_conversations(CLOSE_SECONDS) for listener in self._listeners))
        for chore in self._chores:
            chore.cancel()
        await asyncio.to_thread(self._upstream.close, CLOSE_SECONDS)
        for threads in self._threads:
            threads.stop()
        self._emit(Stopped())

    def reload_certificate(self) -> None:
        """Now, whether its file has changed or not; nothing is interrupted."""
        self._tls.reload()

    async def _yield_maildrops(self) -> None:
        """End the sessions whose maildrop somebody else wants."""
        while True:
            for conversation in self._connections:
                if conversation.session.is_wanted_elsewhere:
                    conversation.stop("another session took over the maildrop")
            await asyncio.sleep(YIELD_LOOK_SECONDS)

    async def _sweep(self) -> None:
        while True:
            self._tls.look()
            self._upstream.sweep()
            await asyncio.sleep(SWEEP_SECONDS)

    async def _stop_accepting(self) -> None:
        await asyncio.gather(*(listener.stop_accepting() for listener in self._listeners))

    def _possible(self) -> tuple[int, WarmLimits]:
        """How many clients, and how many warm connections, there are file descriptors for."""
        wanted, kept = self._settings.limits.connections, self._settings.upstream.warm
        possible, warm = _affordable(wanted, kept.connections)
        if (possible, warm) != (wanted, kept.connections):
            self._emit(LimitLowered(wanted, possible, kept.connections, warm))
        return possible, WarmLimits(warm, kept.per_account, kept.idle, kept.age)

    def _listener(self, index: int) -> Listener:
        settings = self._settings
        described = settings.listen[index]
        terms = Terms(
            tls_available=not described.implicit_tls,
            allow_plaintext=described.allow_plaintext,
            login_attempts=settings.limits.login_attempts,
            failure_delay=FAILURE_DELAY,
        )

        def make_session(peer: Peer) -> Session:
            return Session(self._services, terms, peer, self._emit)

        patience = Patience(settings.timeouts.idle, settings.timeouts.login, settings.timeouts.stalled)
        site = sites(settings)[index]
        return Listener(site, self._tls.context, make_session, self._connections, patience, self._emit)

    def _server_tls(self, state: StateFolder) -> ServerTls:
        configured = self._settings.tls
        if configured.certificate is not None:
            return ServerTls(Pair(configured.certificate, configured.key), configured.min_version, self._emit)
        path, made = self_signed(state.folder("tls"))
        if made:
            self._emit(CertificateMade(str(path), fingerprint(path)))
        return ServerTls(Pair(path), configured.min_version, self._emit)


def preload(settings: Settings) -> None:
    """What every worker needs and none changes: loaded before they are forked, it is in memory once.

    Raises SettingsError.
    """
    check_ca_file(settings.upstream.endpoint().ca_file)


def sites(settings: Settings) -> list[Site]:
    """Where the settings want it to listen, in their order."""
    return [Site(*listener.address, listener.implicit_tls) for listener in settings.listen]


def announce(settings: Settings, listening: Iterable[Site], emit: Callable[[Event], None]) -> None:
    emit(GatewayStarted(__version__, str(settings.upstream.endpoint())))
    for site in listening:
        emit(Listening(str(site)))


def _affordable(connections: int, warm: int) -> tuple[int, int]:
    """As many as there are file descriptors for; the soft limit is raised to the hard one first.

    Clients come first: warm connections have what is left when all of them are there, so they keep nobody out.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections * FILES_PER_CONNECTION + FILES_BESIDE + warm
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = max(min(connections, (soft - FILES_BESIDE) // FILES_PER_CONNECTION), 1)
    left = soft - FILES_BESIDE - possible * FILES_PER_CONNECTION
    return possible, max(min(warm, left), 0)
