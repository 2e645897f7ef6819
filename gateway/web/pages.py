"""Which page answers which request: one table."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.enrolment import PATH
from gateway.errors import GatewayError
from gateway.telemetry.events import PageFailed
from gateway.web.desk import Desk
from gateway.web.faults import fault_of
from gateway.web.forms import StaleForm
from gateway.web.guests import Guests
from gateway.web.message import BadRequest, Reply, Request
from gateway.web.operators import Operators
from gateway.web.place import CALLBACK

OURS = 500  # from this status on (RFC 9110 section 15.6)

Handler = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Page:
    name: str  # in the log, where a path might have a token in it
    by_method: dict[str, Handler]


class Pages:
    """Call it with a request: the page's name, and the reply."""

    def __init__(self, desk: Desk, guests: Guests, operators: Operators) -> None:
        self._place = desk.place
        self._emit = desk.emit
        self._renderer = renderer = desk.renderer

        async def style(_: Request) -> Reply:
            return renderer.file("style")

        async def icon(_: Request) -> Reply:
            return renderer.file("icon")

        self._pages = {
            "/": Page("front", {"GET": operators.front, "HEAD": operators.front}),
            "/style.css": Page("style", {"GET": style}),
            "/icon.svg": Page("icon", {"GET": icon}),
            "/login": Page("login", {"POST": operators.enter}),
            "/logout": Page("logout", {"POST": operators.leave}),
            "/accounts": Page("accounts", {"GET": operators.accounts}),
            "/invitations": Page("invitations", {"POST": operators.invite}),
            CALLBACK: Page("callback", {"GET": guests.back}),
            # With a token behind it.
            PATH: Page("invitation", {"GET": guests.invited, "POST": guests.begin}),
        }

    async def __call__(self, request: Request) -> tuple[str, Reply]:
        """Raises BadRequest for what no browser sends."""
        if not self._place.is_asked_for(request.headers.get("host", "")):
            raise BadRequest(421, "there is no such host here; see web.url in the gateway's settings")
        page = self._found(request.path)
        if page is None:
            return "none", self._fault(404, "There is no such page", "See whether the link is whole.")
        handler = page.by_method.get(request.method)
        if handler is None:
            return page.name, Reply(405, b"", headers={"allow": ", ".join(page.by_method)})
        try:
            return page.name, await handler(request)
        except (GatewayError, StaleForm) as error:
            fault = fault_of(error)
            if fault.status >= OURS:
                self._emit(PageFailed(page.name, request.address, str(error)))
            return page.name, self._fault(fault.status, fault.title, fault.text)

    def _found(self, path: str) -> Page | None:
        inner = path.removeprefix(self._place.base) if path.startswith(f"{self._place.base}/") else None
        if inner is None:
            return self._pages["/"] if path == self._place.base else None
        if inner.startswith(PATH) and inner != PATH:
            return self._pages[PATH]
        return self._pages.get(inner) if inner != PATH else None

    def _fault(self, status: int, title: str, text: str) -> Reply:
        return self._renderer.page("fault", status, title=title, text=text, again="")
