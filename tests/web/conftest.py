"""The whole way: an authorization server, a mail server that asks it about tokens, and a gateway with its page."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests import leaks
from tests.gateway_process import GatewayProcess, StartGateway, settings_for
from tests.granted import INTROSPECTION
from tests.server.sessions import MAIL
from tests.servers.authorization import SCOPE, AuthorizationServer, Registered
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox, requires
from tests.servers.tls import Certificates
from tests.web.person import Page, Person

PASSWORD = "correct-horse-battery"  # the operator's
PROVIDER = "example"
CONTACT = "help@example.org"


@pytest.fixture(scope="session")
def mail_server(certificates: Certificates, shared_authorization: AuthorizationServer) -> Iterator[Dovecot]:
    requires("dovecot", "dovecot-imapd")
    asks = shared_authorization.register()
    place = shared_authorization.introspection_endpoint.replace(
        "://", f"://{asks.client_id}:{asks.client_secret}@"
    )
    oauth2 = INTROSPECTION.format(url=place) + "username_attribute = sub\n"
    with Dovecot(certificates, auth_mechanisms="plain login xoauth2 oauthbearer", oauth2=oauth2) as server:
        yield server


@pytest.fixture
def owner(mail_server: Dovecot) -> Mailbox:
    """Somebody with three messages, who can sign in with the provider."""
    made = new_mailbox(mail_server)
    made.deliver(MAIL)
    return made


@dataclass
class Enrolling:
    """A gateway with the page, and whoever comes to it."""

    gateway: GatewayProcess
    url: str
    authorization: AuthorizationServer
    client: Registered

    def person(self) -> Person:
        return Person(self.url)

    def invite(self, login: str, **filled: str) -> str:
        """By the operator, on the page: the link."""
        with self.person() as operator:
            page = operator.log_in(PASSWORD)
            page = operator.send(page.forms[-1], login=login, **filled)
            assert page.heading == "The invitation is ready", page.text
            return link_on(page)

    def enrol(self, person: Person, link: str, user: str, **filled: str) -> Page:
        """From the invitation to the last page, signing in as this user."""
        return self.answer(person, person.begin(link, **filled), user)

    def answer(self, person: Person, url: str, user: str, *, allow: bool = True) -> Page:
        """Sign in at the provider, and go back."""
        with self.authorization.browser() as browser:
            return person.get(browser.sign_in(url, user, allow=allow))


def settings(
    authorization: AuthorizationServer, client: Registered, web: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Top-level ones, on top of the usual; those in `web` are added to what is usual there."""
    provider = {"issuer": authorization.issuer, "client_id": client.client_id, "scopes": [SCOPE]}
    page = {"listen": "http://127.0.0.1:0", "password": PASSWORD, "contact": CONTACT} | (web or {})
    return {"oauth": {PROVIDER: provider}, "web": page, "accounts": {"pass_through": False}} | more


def register(authorization: AuthorizationServer) -> Registered:
    """A public application may be redirected to any port of this machine."""
    return authorization.register("http://localhost/callback", public=True)


@pytest.fixture(scope="session")
def shared_enrolling(
    tmp_path_factory: pytest.TempPathFactory,
    certificates: Certificates,
    mail_server: Dovecot,
    shared_authorization: AuthorizationServer,
) -> Iterator[Enrolling]:
    leaks.note(PASSWORD)
    client, folder = register(shared_authorization), tmp_path_factory.mktemp("enrolling")
    uncounted = {"guesses": {"per_address": 0, "per_account": 0}}
    chosen = settings(shared_authorization, client, limits=uncounted)
    with GatewayProcess(settings_for(mail_server, certificates, folder, **chosen), folder) as gateway:
        yield Enrolling(gateway, page_url(gateway), shared_authorization, client)


@pytest.fixture
def enrolling(shared_enrolling: Enrolling, authorization: AuthorizationServer) -> Enrolling:
    """One for all tests; mailboxes and accounts are each test's own, and wrong guesses do not count."""
    assert authorization is shared_enrolling.authorization
    return shared_enrolling


StartEnrolling = Callable[..., Enrolling]


@pytest.fixture
def start_enrolling(
    start_gateway: StartGateway, mail_server: Dovecot, authorization: AuthorizationServer
) -> StartEnrolling:
    """A gateway of the test's own; see settings()."""
    leaks.note(PASSWORD)

    def start(web: dict[str, Any] | None = None, **more: Any) -> Enrolling:
        client = register(authorization)
        gateway = start_gateway(mail_server, **settings(authorization, client, web, **more))
        return Enrolling(gateway, page_url(gateway), authorization, client)

    return start


def page_url(gateway: GatewayProcess) -> str:
    """As browsers have it; it is told before where POP3 listens."""
    [told] = [event for event in gateway.events if event["event"] == "enrolment page listening"]
    return str(told["url"])


def link_on(page: Page) -> str:
    found = re.search(r"<code>(http[^<]+/i/[^<]+)</code>", page.text)
    assert found, page.text
    leaks.note(found[1].rpartition("/")[2])  # its token opens a mailbox
    return found[1]
