"""From an invitation to a mailbox on a device: a person signs in with the provider, and the mail server is asked
whether it is the right one.
"""

import json
import poplib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.web.guests import ATTEMPTS_AT_ONCE
from tests.fakes.faults import Say
from tests.fakes.imap import FakeImap
from tests.server.sessions import MAIL
from tests.servers.authorization import SCOPE
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.machine import free_ports, wait
from tests.servers.postgres import Postgres
from tests.servers.tls import Certificates
from tests.web.conftest import PASSWORD, PROVIDER, Enrolling, StartEnrolling, link_on
from tests.web.person import Page

NOT_GOOD = "This link is not good any more"
UNFINISHED = "This sign-in cannot be finished"


def fetched(enrolling: Enrolling, user: str, password: str) -> list[bytes]:
    """What a device gets with what it was told."""
    client = poplib.POP3("127.0.0.1", enrolling.gateway.port, timeout=30)
    try:
        client.user(user)
        client.pass_(password)
        count, _ = client.stat()
        return [b"\r\n".join(client.retr(number + 1)[1]) + b"\r\n" for number in range(count)]
    finally:
        client.close()


def wait_until(condition: Callable[[], bool]) -> None:
    assert wait(condition, 20.0)


def refused(page: Page, heading: str) -> bool:
    """A page that gives nothing."""
    return page.heading == heading and not page.settings


def test_from_the_invitation_to_the_first_mail(enrolling: Enrolling, owner: Mailbox) -> None:
    link = enrolling.invite(owner.user, label="printer")
    with enrolling.person() as person:
        page = enrolling.enrol(person, link, owner.user)
    assert page.heading == "Your mailbox is connected"
    assert page.settings["Server"] == "localhost"
    assert page.settings["Port"] == str(enrolling.gateway.tls_port)
    assert page.settings["Security"] == "SSL/TLS"
    assert page.settings["User"] == owner.user
    assert fetched(enrolling, owner.user, page.password) == MAIL


def test_several_workers_are_one_page(start_enrolling: StartEnrolling, owner: Mailbox) -> None:
    """Each connection may meet another one, at each step."""
    enrolling = start_enrolling(workers=2)
    with enrolling.person() as person:
        page = enrolling.enrol(person, enrolling.invite(owner.user), owner.user)
    assert fetched(enrolling, owner.user, page.password) == MAIL


def test_two_browsers_at_once_do_not_disturb_each_other(
    enrolling: Enrolling, owner: Mailbox, mail_server: Dovecot
) -> None:
    other = new_mailbox(mail_server)
    with enrolling.person() as ann, enrolling.person() as bob:
        to_ann = ann.begin(enrolling.invite(owner.user))
        to_bob = bob.begin(enrolling.invite(other.user))
        last_of_bob = enrolling.answer(bob, to_bob, other.user)
        last_of_ann = enrolling.answer(ann, to_ann, owner.user)
    assert fetched(enrolling, owner.user, last_of_ann.password) == MAIL
    assert fetched(enrolling, other.user, last_of_bob.password) == []


def test_so_do_two_pages_in_one_browser(enrolling: Enrolling, owner: Mailbox, mail_server: Dovecot) -> None:
    other = new_mailbox(mail_server)
    with enrolling.person() as person:
        first = person.begin(enrolling.invite(owner.user))
        second = person.begin(enrolling.invite(other.user))
        assert enrolling.answer(person, first, owner.user).settings["User"] == owner.user
        assert enrolling.answer(person, second, other.user).settings["User"] == other.user


def test_one_invitation_in_two_browsers_is_used_by_whoever_comes_back_first(
    enrolling: Enrolling, owner: Mailbox
) -> None:
    link = enrolling.invite(owner.user)
    with enrolling.person() as first, enrolling.person() as second:
        to_first, to_second = first.begin(link), second.begin(link)
        assert enrolling.answer(second, to_second, owner.user).password
        assert refused(enrolling.answer(first, to_first, owner.user), NOT_GOOD)


def test_what_was_begun_in_another_browser_ends_there(enrolling: Enrolling, owner: Mailbox) -> None:
    """Else somebody could have his own sign-in finished by another, or the other way round."""
    link = enrolling.invite(owner.user)
    with enrolling.person() as person, enrolling.person() as stranger:
        to_provider = person.begin(link)
        assert refused(enrolling.answer(stranger, to_provider, owner.user), UNFINISHED)
        assert enrolling.authorization.asked == []  # not even the provider
        assert enrolling.enrol(person, link, owner.user).password


def test_the_answer_is_good_once(enrolling: Enrolling, owner: Mailbox) -> None:
    link = enrolling.invite(owner.user)
    with enrolling.person() as person, enrolling.authorization.browser() as browser:
        back = browser.sign_in(person.begin(link), owner.user)
        assert person.get(back).password
        assert refused(person.get(back), UNFINISHED)


def test_an_answer_that_comes_twice_at_once_is_redeemed_once(enrolling: Enrolling, owner: Mailbox) -> None:
    """Whoever loads a slow page again. A code that comes twice counts as stolen, and what it gave is revoked."""
    with enrolling.person() as person, enrolling.authorization.browser() as browser:
        back = browser.sign_in(person.begin(enrolling.invite(owner.user)), owner.user)
        enrolling.authorization.behave(delay=1)
        with ThreadPoolExecutor(3) as pool:
            pages = list(pool.map(person.get, [back] * 3))
        assert len(enrolling.authorization.asked) == 1
        [password] = {page.password for page in pages}
    assert fetched(enrolling, owner.user, password) == MAIL


def test_so_it_is_where_it_comes_to_several_workers(start_enrolling: StartEnrolling, owner: Mailbox) -> None:
    enrolling = start_enrolling(workers=3)
    with enrolling.person() as person, enrolling.authorization.browser() as browser:
        back = browser.sign_in(person.begin(enrolling.invite(owner.user)), owner.user)
        enrolling.authorization.behave(delay=1)
        with ThreadPoolExecutor(8) as pool:
            pages = list(pool.map(person.get, [back] * 8))
        assert len(enrolling.authorization.asked) == 1
        [password] = {page.password for page in pages if not refused(page, NOT_GOOD)}
    assert fetched(enrolling, owner.user, password) == MAIL


def test_an_answer_with_another_state_is_nobodys(enrolling: Enrolling, owner: Mailbox) -> None:
    with enrolling.person() as person, enrolling.authorization.browser() as browser:
        back = browser.sign_in(person.begin(enrolling.invite(owner.user)), owner.user)
        for other in (
            back.replace("state=", "state=x"),
            back.replace("state=", "other="),
            f"{person.url}/callback",
        ):
            assert refused(person.get(other), UNFINISHED)
        assert person.get(back).password


def test_whoever_says_no_can_try_again(enrolling: Enrolling, owner: Mailbox) -> None:
    link = enrolling.invite(owner.user)
    with enrolling.person() as person:
        page = enrolling.answer(person, person.begin(link), owner.user, allow=False)
        assert refused(page, "You have not signed in")
        assert link in page.links
        assert enrolling.enrol(person, link, owner.user).password


def test_whoever_signs_in_as_somebody_else_gets_nothing(
    enrolling: Enrolling, owner: Mailbox, mail_server: Dovecot
) -> None:
    other, link = new_mailbox(mail_server), enrolling.invite(owner.user)
    with enrolling.person() as person:
        page = enrolling.enrol(person, link, other.user)
        assert refused(page, "This is another mailbox")
        assert owner.user not in enrolling.gateway.run("account", "list", "--json")
        assert enrolling.enrol(person, link, owner.user).password  # the invitation is good still


def test_so_does_whoever_may_not_open_this_mailbox_though_exchange_lets_him_in(
    start_enrolling: StartEnrolling, owner: Mailbox, certificates: Certificates
) -> None:
    with FakeImap(certificates) as exchange:
        exchange.on("AUTHENTICATE", Say("OK AUTHENTICATE completed."))
        exchange.on("EXAMINE", Say("BAD User is authenticated but not connected."))
        url = f"imaps://{exchange.host}:{exchange.imaps_port}?ca_file={exchange.ca_file}"
        enrolling = start_enrolling(upstream=url)
        with enrolling.person() as person:
            assert refused(
                enrolling.enrol(person, enrolling.invite(owner.user), owner.user), "This is another mailbox"
            )


def test_a_provider_that_is_down_is_told_and_the_invitation_stays(enrolling: Enrolling, owner: Mailbox) -> None:
    link = enrolling.invite(owner.user)
    with enrolling.person() as person:
        to_provider = person.begin(link)
        enrolling.authorization.behave(status=503)
        assert refused(enrolling.answer(person, to_provider, owner.user), "Your mail provider does not answer")
        enrolling.authorization.behave()
        assert enrolling.enrol(person, link, owner.user).password


def test_so_is_one_that_nobody_can_be_sent_to(start_enrolling: StartEnrolling, owner: Mailbox) -> None:
    enrolling = start_enrolling()
    enrolling.authorization.down()
    with enrolling.person() as person:
        [form] = person.get(enrolling.invite(owner.user)).forms
        page = person.send(form)
    enrolling.authorization.up()
    assert (page.status, page.heading) == (502, "Your mail provider does not answer")
    told = enrolling.gateway.wait_for("page cannot be served now", page="invitation")
    assert enrolling.authorization.issuer in told["error"]


def test_a_mail_server_that_is_down_is_told_and_the_invitation_stays(
    start_enrolling: StartEnrolling, owner: Mailbox
) -> None:
    [port] = free_ports("127.0.0.1", 1)
    enrolling = start_enrolling(upstream=f"imap://127.0.0.1:{port}?tls=none")
    link = enrolling.invite(owner.user)
    with enrolling.person() as person:
        assert refused(enrolling.enrol(person, link, owner.user), "The mail server does not answer")
        assert person.get(link).heading == "Connect your mailbox"


def test_a_restart_and_new_keys_between_leaving_and_coming_back_do_no_harm(
    start_enrolling: StartEnrolling, owner: Mailbox, tmp_path: Path
) -> None:
    [port] = free_ports("127.0.0.1", 1)
    web, state = {"listen": f"http://127.0.0.1:{port}"}, str(tmp_path / "state")
    before = start_enrolling(web, state=state)
    with before.person() as person, before.authorization.browser() as browser:
        back = browser.sign_in(person.begin(before.invite(owner.user)), owner.user)
        before.gateway.run("vault", "rotate")
        assert before.gateway.stop() == 0
        client = {"client_id": before.client.client_id, "issuer": before.authorization.issuer, "scopes": [SCOPE]}
        after = start_enrolling(web, state=state, oauth={PROVIDER: client})
        assert fetched(after, owner.user, person.get(back).password) == MAIL


def test_another_machine_goes_on_with_it_where_they_share_a_database(
    start_enrolling: StartEnrolling, owner: Mailbox, tmp_path: Path, shared_postgres: Postgres
) -> None:
    [port] = free_ports("127.0.0.1", 1)
    web, database = {"listen": f"http://127.0.0.1:{port}"}, shared_postgres.new_database()
    keys = tmp_path / "vault.keys"
    accounts = {"pass_through": False, "key_file": str(keys)}

    def machine(name: str, **more: Any) -> Enrolling:
        return start_enrolling(web, state=database, state_folder=str(tmp_path / name), accounts=accounts, **more)

    one = machine("one")
    with one.person() as person, one.authorization.browser() as browser:
        back = browser.sign_in(person.begin(one.invite(owner.user)), owner.user)
        one.gateway.kill()
        client = {"client_id": one.client.client_id, "issuer": one.authorization.issuer, "scopes": [SCOPE]}
        other = machine("other", oauth={PROVIDER: client})
        assert fetched(other, owner.user, person.get(back).password) == MAIL


def test_a_sign_in_that_is_under_way_is_finished_before_the_gateway_ends(
    start_enrolling: StartEnrolling, owner: Mailbox
) -> None:
    """The password that it ends with is shown once."""
    enrolling = start_enrolling()
    with enrolling.person() as person, enrolling.authorization.browser() as browser:
        back = browser.sign_in(person.begin(enrolling.invite(owner.user)), owner.user)
        enrolling.authorization.behave(delay=3)
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(person.get, back)
            wait_until(lambda: bool(enrolling.authorization.asked))
            assert enrolling.gateway.stop() == 0
            assert coming.result().password


def test_attempts_that_were_given_up_do_not_pile_up_in_the_browser(enrolling: Enrolling, owner: Mailbox) -> None:
    link = enrolling.invite(owner.user)
    with enrolling.person() as person:
        for _ in range(12):
            to_provider = person.begin(link)
            assert sum(name.startswith("sign-in") for name in person.http.cookies) <= ATTEMPTS_AT_ONCE
        assert enrolling.answer(person, to_provider, owner.user).password


def test_whoever_lost_the_last_page_is_offered_another_password(enrolling: Enrolling, owner: Mailbox) -> None:
    """Until one was used, it may have been seen by nobody."""
    with enrolling.person() as person:
        password = enrolling.enrol(person, enrolling.invite(owner.user), owner.user).password
        [form] = person.get(enrolling.invite(owner.user)).forms
        assert form.fields["password"] == "yes"
        assert fetched(enrolling, owner.user, password) == MAIL
        [form] = person.get(enrolling.invite(owner.user)).forms
        assert "password" not in form.fields


def test_a_revoked_grant_is_renewed_and_devices_keep_their_passwords(enrolling: Enrolling, owner: Mailbox) -> None:
    with enrolling.person() as person:
        password = enrolling.enrol(person, enrolling.invite(owner.user), owner.user).password
        enrolling.authorization.revoke(owner.user)
        with pytest.raises(poplib.error_proto, match=r"\[AUTH\] .*sign in again"):
            fetched(enrolling, owner.user, password)
        with enrolling.person() as operator:
            page = operator.log_in(PASSWORD)
            assert "sign-in needed" in page.text
            again = next(form for form in page.forms if form.fields.get("login") == owner.user)
            link = link_on(operator.send(again))
        assert person.get(link).heading == "Sign in again"
        page = enrolling.enrol(person, link, owner.user)
        assert (page.heading, "The password is shown only now" in page.text) == ("You are signed in again", False)
        assert fetched(enrolling, owner.user, password) == MAIL


def test_with_another_sign_in_there_may_be_a_password_for_another_device(
    enrolling: Enrolling, owner: Mailbox
) -> None:
    with enrolling.person() as person:
        first = enrolling.enrol(person, enrolling.invite(owner.user), owner.user).password
        page = enrolling.enrol(
            person, enrolling.invite(owner.user), owner.user, password="yes", label="second device"
        )
    assert page.password != first
    for password in (first, page.password):
        assert fetched(enrolling, owner.user, password) == MAIL
    told = enrolling.gateway.run("account", "show", owner.user, "--json")
    assert '"second device"' in told


def test_a_label_is_shown_to_the_operator_and_does_nothing_else(enrolling: Enrolling, owner: Mailbox) -> None:
    with enrolling.person() as person:
        label = "\x1b[2J[/b] <i>"
        page = enrolling.enrol(person, enrolling.invite(owner.user), owner.user, label=label)
        assert "[/b] &lt;i&gt;" in page.text
    told = enrolling.gateway.run("account", "show", owner.user)
    assert "[2J[/b] <i>" in told
    assert "\x1b" not in told


def test_the_device_of_an_invitation_may_be_one_that_deletes_nothing(enrolling: Enrolling, owner: Mailbox) -> None:
    with enrolling.person() as person:
        page = enrolling.enrol(person, enrolling.invite(owner.user, read_only="yes"), owner.user)
    told = json.loads(enrolling.gateway.run("account", "show", page.settings["User"], "--json"))
    assert [password["read_only"] for password in told["passwords"]] == [True]


def test_no_secret_is_in_the_log(enrolling: Enrolling, owner: Mailbox) -> None:
    """Codes and states too, not only what other tests look for when a gateway ends."""
    with enrolling.person() as person, enrolling.authorization.browser() as browser:
        link = enrolling.invite(owner.user)
        back = browser.sign_in(person.begin(link), owner.user)
        person.get(back)
    said = parse_qs(urlsplit(back).query)
    for secret in (link.rpartition("/")[2], *said["code"], *said["state"]):
        assert secret not in enrolling.gateway.raw_log
    enrolling.gateway.wait_for("signed in with the provider", user=owner.user, new_account=True)
