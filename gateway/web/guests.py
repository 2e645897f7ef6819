"""A person with an invitation: signs in with the mail provider, comes back, and is shown a password."""

import asyncio
import hashlib
import json
from collections.abc import Iterator

from gateway.enrolment import LABEL_LETTERS, PATH, Attempt, Enrolled, Welcome, label_of
from gateway.errors import AnotherMailbox, BadCredentials, GatewayError, InvitationVoid, SignInNeeded
from gateway.ports import Doorkeeper, Visit
from gateway.sasl import Secret
from gateway.telemetry.events import InvitationRefused, SignedIn, SignInFailed
from gateway.web.desk import Desk
from gateway.web.devices import devices
from gateway.web.faults import fault_of
from gateway.web.headers import cookie_name
from gateway.web.message import Cookie, Reply, Request
from gateway.web.place import CALLBACK, Pop3Server

ATTEMPT = "sign-in"  # the cookie, one for each that is under way, and what it is sealed for
ATTEMPT_SECONDS = 900  # at the provider: for a password, a second factor, and a telephone that is elsewhere
ATTEMPTS_AT_ONCE = 5  # of one browser; each has some 700 octets
GUESSED = "invitation"  # whatever the token: only addresses are counted


class Guests:
    def __init__(self, desk: Desk, server: Pop3Server, doorkeeper: Doorkeeper) -> None:
        self._desk = desk
        self._server = server
        self._doorkeeper = doorkeeper
        self._finishing: dict[str, asyncio.Task[Enrolled]] = {}  # by state

    async def invited(self, request: Request) -> Reply:
        """What the link is for. It may be looked at any number of times, by a mail scanner, too."""
        token = self._token(request)
        welcome = await self._look(request, token)
        form, cookies = self._desk.forms.prepare(request)
        return self._desk.renderer.page(
            "invitation", cookies=cookies, form=form, welcome=welcome, letters=LABEL_LETTERS
        )

    async def begin(self, request: Request) -> Reply:
        """Off to the provider: by a page that moves on, see headers."""
        self._desk.forms.demand_ours(request)
        token, said = self._token(request), request.form
        await self._look(request, token)
        run, redirect_uri = self._desk.threads.run, self._desk.place.url(CALLBACK)
        welcome, sign_in = await run(self._desk.enrolment.begin, token, said.get("provider", ""), redirect_uri)
        provider = next(offer for offer in welcome.providers if offer.name == said["provider"])
        label = label_of(said.get("label", ""))
        attempt = Attempt(token, provider.name, sign_in.state, sign_in.verifier, label, "password" in said)
        cookie = Cookie(_cookie(attempt.state), self._sealed(attempt), ATTEMPT_SECONDS, strict=False)
        return self._desk.renderer.page(
            "leaving", cookies=(*self._given_up(request), cookie), url=sign_in.url, provider=provider
        )

    async def back(self, request: Request) -> Reply:
        """From the provider, with its answer. What was begun in another browser ends here."""
        state = request.arguments.get("state", "")
        attempt = self._attempt(request, state)
        if attempt is None:
            return self._desk.renderer.page(
                "fault",
                400,
                title="This sign-in cannot be finished",
                text="It was begun in another browser, is finished already, or has taken too long. "
                "Open your link again.",
                again="",
            )
        done = Cookie(_cookie(state), "", strict=False)
        try:
            enrolled = await self._finish_once(request, attempt)
        except GatewayError as error:
            fault = fault_of(error)
            again = "" if isinstance(error, InvitationVoid) else f"{PATH}{attempt.token.reveal()}"
            shown = {"title": fault.title, "text": fault.text, "again": again}
            return self._desk.renderer.page("fault", fault.status, (done,), **shown)
        return self._desk.renderer.page(
            "done",
            cookies=(done,),
            enrolled=enrolled,
            password=enrolled.password.reveal() if enrolled.password else "",
            server=self._server,
            devices=devices(self._server, enrolled.login),
        )

    async def _look(self, request: Request, token: Secret) -> Welcome:
        """Raises LockedOut where too many were tried from there, InvitationVoid, StateError."""
        visit = self._doorkeeper.visit(GUESSED, request.address, None)
        await visit.admit()
        try:
            return await self._desk.threads.run(self._desk.enrolment.look, token)
        except InvitationVoid:
            self._desk.emit(InvitationRefused(request.address))
            await _note(visit)
            raise

    async def _finish_once(self, request: Request, attempt: Attempt) -> Enrolled:
        """Whoever loads a slow page again gets what the first request ends with: its password is shown only once.
        And a code that came a second time would be taken for stolen. Raises GatewayError.
        """
        finishing = self._finishing.get(attempt.state)
        if finishing is None:
            finishing = asyncio.get_running_loop().create_task(self._finish(request, attempt))
            self._finishing[attempt.state] = finishing
            finishing.add_done_callback(lambda _: self._finishing.pop(attempt.state))
        return await asyncio.shield(finishing)

    async def _finish(self, request: Request, attempt: Attempt) -> Enrolled:
        """Raises GatewayError. An answer that is none costs the provider a question, so it counts as a guess."""
        visit = self._doorkeeper.visit(GUESSED, request.address, None)
        await visit.admit()
        who = await self._desk.threads.run(self._desk.enrolment.look, attempt.token)
        redirect_uri = self._desk.place.url(CALLBACK)
        try:
            enrolled = await self._desk.threads.run(
                self._desk.enrolment.finish, attempt, redirect_uri, request.query
            )
        except GatewayError as error:
            if isinstance(error, AnotherMailbox | InvitationVoid | SignInNeeded):
                await _note(visit)
            self._desk.emit(SignInFailed(who.order.login, attempt.provider, request.address, str(error)))
            raise
        self._desk.emit(SignedIn(enrolled.login, attempt.provider, request.address, enrolled.is_new))
        return enrolled

    def _given_up(self, request: Request) -> Iterator[Cookie]:
        """Those of earlier attempts, where there are too many: a browser sends them all each time."""
        head = cookie_name(ATTEMPT, is_secure=self._desk.place.is_secure)
        found = [name for name in request.cookies if name.startswith(head)]
        if len(found) >= ATTEMPTS_AT_ONCE:
            yield from (Cookie(f"{ATTEMPT}{name.removeprefix(head)}", "", strict=False) for name in found)

    def _token(self, request: Request) -> Secret:
        return Secret(request.path.removeprefix(f"{self._desk.place.base}{PATH}"))

    def _sealed(self, attempt: Attempt) -> str:
        texts = (attempt.token.reveal(), attempt.provider, attempt.state, attempt.verifier.reveal())
        return self._desk.seal.seal(ATTEMPT, json.dumps([*texts, attempt.label, attempt.wants_password]))

    def _attempt(self, request: Request, state: str) -> Attempt | None:
        """The one that this browser began with this state."""
        sealed = request.cookies.get(cookie_name(_cookie(state), is_secure=self._desk.place.is_secure), "")
        text = self._desk.seal.unseal(ATTEMPT, sealed, ATTEMPT_SECONDS)
        if text is None:
            return None
        token, provider, begun, verifier, label, wants_password = json.loads(text)
        if begun != state:
            return None
        return Attempt(Secret(token), provider, begun, Secret(verifier), label, wants_password)


async def _note(visit: Visit) -> None:
    await visit.failed(BadCredentials("no such invitation"))


def _cookie(state: str) -> str:
    """A name of its own for each: several may be under way in one browser."""
    return f"{ATTEMPT}-{hashlib.sha256(state.encode()).hexdigest()[:12]}"
