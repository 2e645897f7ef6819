"""The composition root: settings in, wired objects out, and a drain on the way down."""

import asyncio
import resource
from collections.abc import Callable

from gateway import __version__
from gateway.accounts import LoginDelay, PassThrough
from gateway.config import Settings
from gateway.imap.link import Timeouts
from gateway.imap.mailbox import UpstreamMailboxes
from gateway.imap.tls import context as check_ca_file
from gateway.ports import LockMode, Peer, Services, Terms
from gateway.remembered import RememberedMailboxes, Rooms
from gateway.server.certificate import fingerprint, self_signed
from gateway.server.conversation import Patience
from gateway.server.limits import Connections
from gateway.server.listener import Listener, Site
from gateway.server.tls import ServerTls
from gateway.session import Session
from gateway.store import FileLocks, SqliteLedger, StateFolder
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

# A QUIT whose update goes on after its reply, or a client that hung up and is back at once.
LOCK_PATIENCE_SECONDS = 2.0
LEDGER_THREADS = 2  # SQLite has one writer anyway
LEDGER_FILE = "maildrops.sqlite3"
FAILURE_DELAY = 1.0  # seconds before the answer to a wrong password, doubled with each further one
YIELD_LOOK_SECONDS = 0.3
DRAIN_LOOK_SECONDS = 0.2
# A session that has said nothing for so long is between two looks at the mail, not in a transfer.
DRAIN_QUIET_SECONDS = 2.0
CLOSE_SECONDS = 2.0  # for conversations that are told to end
FILES_PER_CONNECTION = 3  # the client, the upstream, the lock
FILES_BESIDE = 64


class Gateway:
    """start(), then stop(). Raises SettingsError and StateError at the start, nothing later."""

    def __init__(self, settings: Settings, emit: Callable[[Event], None]) -> None:
        self.sites: list[Site] = []
        self._settings = settings
        self._yielding: asyncio.Task[None] | None = None
        self._emit = emit
        state = StateFolder(settings.state)
        endpoint = settings.upstream.endpoint()
        check_ca_file(endpoint.ca_file)
        maildrop, patience = settings.maildrop, settings.upstream.timeouts
        logins, transfers, ledger_threads = Threads(), Threads(), Threads(LEDGER_THREADS)
        self._threads = (logins, transfers, ledger_threads)
        upstream = UpstreamMailboxes(
            logins, transfers, Timeouts(patience.connect, patience.response, patience.open), emit
        )
        file, locks = state.path / LEDGER_FILE, state.folder("locks")
        ledger = SqliteLedger(file, lambda: emit(StateReplaced(str(file))))
        self._services = Services(
            PassThrough(endpoint, maildrop.folder, maildrop.policy()),
            RememberedMailboxes(
                upstream, maildrop.guard.caution(), Rooms(ledger, FileLocks(locks), ledger_threads, emit)
            ),
            FileLocks(locks, maildrop.lock, LOCK_PATIENCE_SECONDS),
            LoginDelay(settings.limits.login_delay),
        )
        self._tls = self._server_tls(state)
        possible = _affordable(settings.limits.connections)
        if possible < settings.limits.connections:
            emit(LimitLowered(settings.limits.connections, possible))
        self._connections = Connections(possible, settings.limits.connections_per_address)
        self._listeners = [self._listener(index) for index in range(len(settings.listen))]

    async def start(self) -> None:
        try:
            self.sites = [await listener.start() for listener in self._listeners]
            self._emit(GatewayStarted(__version__, str(self._settings.upstream.endpoint())))
            for site in self.sites:
                self._emit(Listening(str(site)))
            if self._settings.maildrop.lock is LockMode.TAKEOVER:
                self._yielding = asyncio.create_task(self._yield_maildrops())
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
        if self._yielding is not None:
            self._yielding.cancel()
        for threads in self._threads:
            threads.stop()
        self._emit(Stopped())

    async def _yield_maildrops(self) -> None:
        """End the sessions whose maildrop somebody else wants."""
        while True:
            for conversation in self._connections:
                if conversation.session.is_wanted_elsewhere:
                    conversation.stop("another session took over the maildrop")
            await asyncio.sleep(YIELD_LOOK_SECONDS)

    async def _stop_accepting(self) -> None:
        await asyncio.gather(*(listener.stop_accepting() for listener in self._listeners))

    def _listener(self, index: int) -> Listener:
        described = self._settings.listen[index]
        host, port = described.address
        settings = self._settings
        terms = Terms(
            tls_available=not described.implicit_tls,
            allow_plaintext=described.allow_plaintext,
            login_attempts=settings.limits.login_attempts,
            failure_delay=FAILURE_DELAY,
        )

        def make_session(peer: Peer) -> Session:
            return Session(self._services, terms, peer, self._emit)

        patience = Patience(settings.timeouts.idle, settings.timeouts.login, settings.timeouts.stalled)
        site = Site(host, port, described.implicit_tls, self._tls.context)
        return Listener(site, make_session, self._connections, patience, self._emit)

    def _server_tls(self, state: StateFolder) -> ServerTls:
        configured = self._settings.tls
        certificate = configured.certificate
        if certificate is None:
            certificate, made = self_signed(state.folder("tls"))
            if made:
                self._emit(CertificateMade(str(certificate), fingerprint(certificate)))
        return ServerTls(certificate, configured.key, configured.min_version, self._emit)


def _affordable(connections: int) -> int:
    """As many as there are file descriptors for; the soft limit is raised to the hard one first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections * FILES_PER_CONNECTION + FILES_BESIDE
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(min(connections, (soft - FILES_BESIDE) // FILES_PER_CONNECTION), 1)
