"""The enrolment page, wired. Loaded only where the settings have one."""

import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from gateway.accounts import Doorkeeper
from gateway.config import Listener, Settings
from gateway.config.upstream import is_loopback
from gateway.enrolment import PATIENCE_SECONDS, Enrolment
from gateway.errors import SettingsError
from gateway.guesses import Limit, Rules
from gateway.imap.link import Timeouts
from gateway.imap.probe import try_out
from gateway.ports import Account, LockMode
from gateway.sasl import Secret
from gateway.server.sockets import Site, listen
from gateway.store import State, StoredVault, VaultSeal
from gateway.telemetry.events import Event
from gateway.threads import Threads

try:
    from gateway.web.desk import Desk
    from gateway.web.forms import Forms
    from gateway.web.guests import Guests
    from gateway.web.operators import Operators
    from gateway.web.pages import Pages
    from gateway.web.place import Place, Pop3Server
    from gateway.web.render import Renderer
    from gateway.web.server import WebServer
except ImportError as error:
    raise SettingsError(
        f"web.listen: the page needs more ({error}): pip install '.[web]' in the source folder"
    ) from None

PAGE_THREADS = 8  # of which each may wait for a provider and a mail server
# Of a trial login, for each of its steps: reverse proxies give up after a minute, and the provider had its 20 s.
TRIAL_SECONDS = 15.0
GUESSES, GUESSES_MOST = "page-guesses", 8_192
PLACES, PLACES_MOST = "page-places", 8_192


class EnrolmentPage:
    """start(), stop_accepting(), end(): a part of Gateway. Raises SettingsError, StateError."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        vault: StoredVault,
        tls: Callable[[], ssl.SSLContext],
        emit: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._server: WebServer | None = None
        self._tls = tls if settings.web.implicit_tls else None
        self._threads = Threads(PAGE_THREADS)
        self._seal = VaultSeal(vault)
        self._seal.seal("", "")  # the keys are there from now on
        patience = settings.upstream.timeouts
        connect, response = (min(most, TRIAL_SECONDS) for most in (patience.connect, patience.response))
        timeouts = Timeouts(connect, response, TRIAL_SECONDS)

        def try_login(account: Account) -> None:
            try_out(replace(account, folder=account.folder or settings.maildrop.folder), timeouts)

        self._enrolment = Enrolment(
            vault,
            state.invitations(),
            settings.clients(),
            settings.endpoint,
            try_login,
            state.locks(LockMode.EXCLUSIVE, PATIENCE_SECONDS),
            readable=settings.accounts.readable_passwords,
        )
        self._guests_door, self._operators_door = self._doors(state)

    def start(self, sockets: list[socket.socket] | None, listening: Iterable[Site]) -> Site:
        """`listening` are the POP3 listeners' sites, now that all ports are known. Raises as listen() does."""
        web = self._settings.web
        site = Site(*web.address, web.implicit_tls, "http")
        sockets = listen(site) if sockets is None else sockets
        site = site.at(sockets[0])
        outside = web.outside
        if not web.url:
            outside = outside._replace(netloc=f"localhost:{site.port}")
        place = Place.of(outside, site.host)
        server = shown_server(self._settings, listening, outside.hostname or "")
        pages = self._pages(place, server)
        self._server = WebServer(
            site, pages, self._emit, tls=self._tls, proxies=web.proxies, is_secure=place.is_secure
        )
        self._server.start(sockets)
        return site

    def stop_accepting(self) -> None:
        if self._server:
            self._server.stop_accepting()

    @property
    def is_busy(self) -> bool:
        """Somebody waits for an answer, which may be a password that is shown once."""
        return self._server is not None and self._server.is_busy

    async def end(self, seconds: float) -> None:
        if self._server:
            await self._server.end(seconds)
        self._threads.stop()

    def _pages(self, place: Place, server: Pop3Server) -> Pages:
        web = self._settings.web
        renderer, forms = Renderer(place, web.contact), Forms(self._seal, is_secure=place.is_secure)
        desk = Desk(self._enrolment, place, renderer, forms, self._seal, self._threads, self._emit)
        password = Secret(web.password.get_secret_value()) if web.password else None
        guests = Guests(desk, server, self._guests_door)
        return Pages(desk, guests, Operators(desk, password, self._operators_door))

    def _doors(self, state: State) -> tuple[Doorkeeper, Doorkeeper]:
        """For guests and for operators. Whoever tries invitations is counted by his address only: he must not lock
        all others out. Not the counts of POP3 either, for the same reason.
        """
        guesses = self._settings.limits.guesses
        rules, nobody = guesses.rules(), Limit(0, guesses.window, guesses.lockout)
        held, places = state.deadlines(GUESSES, GUESSES_MOST), state.deadlines(PLACES, PLACES_MOST)
        guests, operators = (
            Doorkeeper(each, guesses.trusted, held, places, self._threads, self._emit)
            for each in (Rules(rules.address, nobody), rules)
        )
        return guests, operators


def shown_server(settings: Settings, listening: Iterable[Site], host: str) -> Pop3Server:
    """What the settings say, or else the best that there is: TLS at once, and no listener for special guests
    or for this machine alone.
    """
    if settings.web.pop3:
        said = urlsplit(settings.web.pop3)
        implicit = said.scheme == "pop3s"
        return Pop3Server(said.hostname or "", said.port or (995 if implicit else 110), implicit)
    pairs = list(zip(settings.listen, listening, strict=False))

    def special(pair: tuple[Listener, Site]) -> tuple[bool, ...]:
        listener, site = pair
        return is_loopback(site.host), bool(listener.proxy_from), listener.allows_old_tls, not site.implicit_tls

    _, site = min(pairs, key=special)
    return Pop3Server(host, site.port, site.implicit_tls)
