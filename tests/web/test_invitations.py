"""Who may come: a link is good once, for a while, and for nobody who guesses."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.app.invitations import invitation_link
from gateway.config import Settings, load
from gateway.enrolment import INVITATION_SECONDS, Order
from gateway.errors import BadRecord, SettingsError
from gateway.ports import Invitation
from gateway.sasl import Secret
from gateway.store import open_state
from tests import leaks
from tests.servers.fixtures import Mailbox
from tests.servers.machine import wait
from tests.web.conftest import Enrolling, StartEnrolling

NOT_GOOD = "This link is not good any more"


@dataclass
class Desk:
    """The command line beside a gateway, with its settings."""

    settings: Settings

    def link(self, order: Order, expires: float = 0.0) -> str:
        _, link = invitation_link(self.settings, order, expires)
        leaks.note(link.rpartition("/")[2])
        return link


def desk(enrolling: Enrolling) -> Desk:
    port = int(enrolling.url.rpartition(":")[2])
    environment = {"POP3_GATEWAY_WEB_LISTEN": f"http://127.0.0.1:{port}"}
    return Desk(load(enrolling.gateway.config, environment, {}))


def test_the_command_line_makes_links_too(enrolling: Enrolling, owner: Mailbox) -> None:
    link = desk(enrolling).link(Order(owner.user, label="printer"))
    assert link.startswith(f"{enrolling.url}/i/")
    with enrolling.person() as person:
        assert "printer" in person.get(link).text
        assert enrolling.enrol(person, link, owner.user).password


def test_a_link_may_be_looked_at_and_is_used_once(enrolling: Enrolling, owner: Mailbox) -> None:
    """Mail scanners open links, and so does whoever wants to know first."""
    link = enrolling.invite(owner.user)
    with enrolling.person() as person:
        for _ in range(3):
            assert person.get(link).heading == "Connect your mailbox"
        assert enrolling.enrol(person, link, owner.user).password
        page = person.get(link)
    assert (page.status, page.heading) == (404, NOT_GOOD)


def test_a_link_ends(enrolling: Enrolling, tmp_path: Path) -> None:
    token, now = Secret(secrets.token_urlsafe()), time.time()
    state = open_state(enrolling.gateway.state)
    state.invitations().add(token, Invitation("x", "late@example.org", "", now - 10, now - 1, Order("").terms))
    state.close()
    with enrolling.person() as person:
        assert person.get(f"i/{token.reveal()}").heading == NOT_GOOD


def test_a_link_ends_while_somebody_signs_in(enrolling: Enrolling, owner: Mailbox) -> None:
    with enrolling.person() as person:
        to_provider = person.begin(enrolling.invite(owner.user))
        state = open_state(enrolling.gateway.state)
        for invitation in state.invitations().all(time.time()):
            assert state.invitations().withdraw(invitation.name)
        state.close()
        assert enrolling.answer(person, to_provider, owner.user).heading == NOT_GOOD
    assert enrolling.authorization.asked == []


def test_an_account_that_is_removed_while_its_owner_signs_in_stays_removed(
    enrolling: Enrolling, owner: Mailbox
) -> None:
    """Nor does another invitation bring it back that was out when it was removed."""
    account = enrolling.gateway.account("add", owner.user, "--password", "--no-check", said="secret")
    first, second = (enrolling.invite(login) for login in (owner.user, owner.user.upper()))
    with enrolling.person() as person, enrolling.authorization.browser() as browser:
        back = browser.sign_in(person.begin(first), owner.user)
        enrolling.authorization.behave(delay=2)
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(person.get, back)
            assert wait(lambda: bool(enrolling.authorization.asked), 20.0)
            enrolling.gateway.run("account", "remove", account["login"], "--yes")
            assert coming.result().heading == NOT_GOOD
        assert person.get(second).heading == NOT_GOOD
    assert owner.user not in enrolling.gateway.run("account", "list", "--json")


def test_whoever_guesses_is_locked_out_and_nobody_else(start_enrolling: StartEnrolling, owner: Mailbox) -> None:
    """Addresses are what is counted, as a reverse proxy tells them."""
    enrolling = start_enrolling({"proxy_from": "127.0.0.0/8"}, limits={"guesses": {"per_address": 3}})
    link = enrolling.invite(owner.user)
    with enrolling.person() as person:
        for _ in range(3):
            page = person.get(f"i/{secrets.token_urlsafe()}", **{"X-Forwarded-For": "192.0.2.1"})
            assert page.heading == NOT_GOOD
        page = person.get(link, **{"X-Forwarded-For": "192.0.2.1"})
        assert (page.status, page.heading) == (429, "Too many attempts")
        page = person.get(link, **{"X-Forwarded-For": "192.0.2.1, 192.0.2.2"})
        assert page.heading == "Connect your mailbox"


@pytest.mark.parametrize("path", ["i/", "i/x", "i/../accounts", "i/%00", f"i/{'x' * 4000}", "i/a/b", "i/'--"])
def test_what_is_no_token_is_no_invitation(enrolling: Enrolling, path: str) -> None:
    with enrolling.person() as person:
        assert person.http.get(f"{enrolling.url}/{path}").status_code in (303, 404)
    assert not [event for event in enrolling.gateway.events if event["event"] == "internal error"]


@pytest.mark.parametrize(
    ("web", "order", "error", "said"),
    [
        ({}, Order("ann"), SettingsError, r"set web\.listen, like http://127\.0\.0\.1:8110"),
        ({"listen": "http://127.0.0.1:0"}, Order("ann"), SettingsError, "nobody knows the link; write the port"),
        ({"listen": "http://127.0.0.1:8110"}, Order("ann", "google"), SettingsError, r"oauth\.google\.client_id"),
        ({"listen": "http://127.0.0.1:8110"}, Order(""), BadRecord, "needs a login name"),
        ({"listen": "http://127.0.0.1:8110"}, Order("a\nb"), BadRecord, "control characters"),
        ({"listen": "http://127.0.0.1:8110"}, Order("ann", label="x" * 61), BadRecord, "60 letters at most"),
    ],
)
def test_what_cannot_be_is_told_with_what_to_do(
    tmp_path: Path, web: dict[str, Any], order: Order, error: type[Exception], said: str
) -> None:
    settings = Settings.model_validate({"upstream": "imaps://h", "state": str(tmp_path), "web": web})
    with pytest.raises(error, match=said):
        invitation_link(settings, order)


def test_it_says_until_when_it_is_good_and_where(tmp_path: Path) -> None:
    web = {"listen": "http://127.0.0.1:8110", "url": "https://mail.example.org/enrol/"}
    settings = Settings.model_validate({"upstream": "imaps://h", "state": str(tmp_path), "web": web})
    made, link = invitation_link(settings, Order("ann"))
    assert made.expires - made.created == INVITATION_SECONDS
    assert link.startswith("https://mail.example.org/enrol/i/")
    with pytest.raises(BadRecord, match="ends in the future"):
        invitation_link(settings, Order("ann"), expires=1.0)
