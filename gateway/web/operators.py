"""The operator's own view: accounts and how they are, invitations, another sign-in."""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass

from gateway.enrolment import INVITATION_SECONDS, LABEL_LETTERS, PATH, Order, label_of
from gateway.errors import BadCredentials, BadRecord, GatewayError
from gateway.ports import Doorkeeper, Grant, Renewal, StoredAccount
from gateway.sasl import Secret
from gateway.telemetry.events import InvitationMade, OperatorEntered, OperatorRefused
from gateway.web.desk import Desk
from gateway.web.faults import fault_of
from gateway.web.headers import cookie_name
from gateway.web.message import Cookie, Reply, Request, see_other

SESSION = "operator"  # the cookie, and what it is sealed for
SESSION_SECONDS = 8 * 3600
WRONG_SECONDS = 1.0  # before a wrong password is answered
OPERATOR = "operator"  # whose guesses are counted
SHOWN_ACCOUNTS = 200
DAY = 86_400.0
DAYS = ("1", "7", "30")  # that an invitation may be good for


@dataclass(frozen=True, slots=True)
class Row:
    """An account, as the list has it."""

    login: str
    state: str
    why: str  # it is so
    is_well: bool
    provider: str  # that it has now
    passwords: int
    used: float  # seconds since the epoch; 0: never
    is_a_persons: bool  # who can sign in; else the operator's application does


class Operators:
    """Where there is no `password` nobody is let in."""

    def __init__(self, desk: Desk, password: Secret | None, doorkeeper: Doorkeeper) -> None:
        self._desk = desk
        self._password = password
        self._doorkeeper = doorkeeper
        # Another password ends all sessions; who has the sealed cookie cannot read it.
        self._mark = hashlib.sha256(password.reveal().encode()).hexdigest() if password else ""

    async def front(self, request: Request) -> Reply:
        """For who comes without an invitation."""
        if self._is_in(request):
            return see_other(f"{self._desk.place.base}/accounts")
        form, cookies = self._desk.forms.prepare(request)
        return self._desk.renderer.page(
            "front", cookies=cookies, form=form, has_login=bool(self._password), wrong=""
        )

    async def enter(self, request: Request) -> Reply:
        self._desk.forms.demand_ours(request)
        said = Secret(request.form.get("password", ""))
        visit = self._doorkeeper.visit(OPERATOR, request.address, said)
        try:
            await visit.admit()
            with visit.under_way():
                await self._demand(said)
        except BadCredentials as error:
            await visit.failed(error)
            return self._refused(request, error)
        except GatewayError as error:  # locked out
            return self._refused(request, error)
        await visit.succeeded()
        self._desk.emit(OperatorEntered(request.address))
        session = self._desk.seal.seal(SESSION, self._mark)
        return see_other(f"{self._desk.place.base}/accounts", Cookie(SESSION, session, SESSION_SECONDS))

    async def leave(self, request: Request) -> Reply:
        self._desk.forms.demand_ours(request)
        return see_other(f"{self._desk.place.base}/", Cookie(SESSION, ""))

    async def accounts(self, request: Request) -> Reply:
        if not self._is_in(request):
            return self._out()
        wanted = request.arguments.get("q", "").strip()
        rows, more = await self._desk.threads.run(self._rows, wanted.casefold())
        return self._listed(request, rows, more, wanted)

    async def invite(self, request: Request) -> Reply:
        """A new account's, or another sign-in for one that there is."""
        if not self._is_in(request):
            return self._out()
        self._desk.forms.demand_ours(request)
        said = request.form
        order = Order(
            said.get("login", "").strip(),
            said.get("provider", ""),
            label=label_of(said.get("label", "")),
            read_only="read_only" in said,
        )
        days = said.get("days", "")
        seconds = float(days) * DAY if days in DAYS else INVITATION_SECONDS
        try:
            made, token = await self._desk.threads.run(self._desk.enrolment.invite, order, seconds)
        except BadRecord as error:
            rows, more = await self._desk.threads.run(self._rows, "")
            return self._listed(request, rows, more, "", fault=fault_of(error).text, said=order)
        self._desk.emit(InvitationMade(made.name, made.login, request.address))
        path = f"{PATH}{token.reveal()}"
        form, _ = self._desk.forms.prepare(request)
        return self._desk.renderer.page(
            "invited", invitation=made, link=self._desk.place.url(path), path=path, form=form, is_in=True
        )

    async def _demand(self, said: Secret) -> None:
        """Raises BadCredentials, after a while."""
        if said != self._password:  # in constant time, see Secret; and where there is none nothing is right
            await asyncio.sleep(WRONG_SECONDS)
            raise BadCredentials("wrong password")

    def _refused(self, request: Request, error: GatewayError) -> Reply:
        self._desk.emit(OperatorRefused(request.address, str(error)))
        form, cookies = self._desk.forms.prepare(request)
        fault = fault_of(error)
        wrong = f"{fault.title}. {fault.text}"
        return self._desk.renderer.page("front", fault.status, cookies, form=form, has_login=True, wrong=wrong)

    def _is_in(self, request: Request) -> bool:
        sealed = request.cookies.get(cookie_name(SESSION, is_secure=self._desk.place.is_secure), "")
        mark = self._desk.seal.unseal(SESSION, sealed, SESSION_SECONDS) if sealed and self._password else None
        return mark is not None and hmac.compare_digest(mark, self._mark)

    def _out(self) -> Reply:
        return see_other(f"{self._desk.place.base}/")

    def _listed(
        self,
        request: Request,
        rows: list[Row],
        more: bool,
        wanted: str,
        *,
        fault: str = "",
        said: Order | None = None,
    ) -> Reply:
        form, cookies = self._desk.forms.prepare(request)
        return self._desk.renderer.page(
            "accounts",
            400 if fault else 200,
            cookies,
            form=form,
            rows=rows,
            more=more,
            wanted=wanted,
            fault=fault,
            said=said or Order(""),
            days=DAYS,
            letters=LABEL_LETTERS,
            providers=self._desk.enrolment.providers,
            names=[provider.name for provider in self._desk.enrolment.providers],
            is_in=True,
        )

    def _rows(self, wanted: str) -> tuple[list[Row], bool]:
        """Those whose owners have to do something first; and whether there are more than are shown."""
        vault = self._desk.enrolment.vault
        known = () if vault.is_unused else vault.all()
        found = (_row(account) for account in known if wanted in account.login.casefold())
        kinds: dict[bool, list[Row]] = {False: [], True: []}
        count = 0
        for row in found:
            count += 1
            if len(kinds[row.is_well]) < SHOWN_ACCOUNTS:
                kinds[row.is_well].append(row)
        shown = [*kinds[False], *kinds[True]][:SHOWN_ACCOUNTS]
        return shown, count > len(shown)


def _row(account: StoredAccount) -> Row:
    grant = account.grant
    used = max((password.used for password in account.passwords), default=0.0)
    state, why, is_well = _state(grant)
    provider, renewal = (grant.provider, grant.renewal) if grant else ("", Renewal.REFRESH)
    is_a_persons = renewal is Renewal.REFRESH
    return Row(account.login, state, why, is_well, provider, len(account.passwords), used, is_a_persons)


def _state(grant: Grant | None) -> tuple[str, str, bool]:
    if grant is None:
        return "password", "", True
    if grant.trouble:
        return "sign-in needed", grant.trouble, False
    return "ok", f"The provider gave no token just now: {grant.fault}" if grant.fault else "", True
