"""The operator's view, and how it is kept from everybody else."""

import contextlib
import poplib
import time
from collections.abc import Iterator

import httpx
import pytest

from gateway.accounts import made
from gateway.ports import Grant, Renewal, Vault
from gateway.sasl import Secret
from gateway.store import Keys, open_state
from tests.web.conftest import CONTACT, PASSWORD, Enrolling, StartEnrolling
from tests.web.person import Page


def is_out(page: Page) -> bool:
    return page.heading == "Welcome"


def test_the_password_opens_the_accounts_until_the_operator_leaves(enrolling: Enrolling) -> None:
    with enrolling.person() as operator:
        assert is_out(operator.get("accounts"))
        page = operator.log_in(PASSWORD)
        assert (page.heading, page.url) == ("Accounts", f"{enrolling.url}/accounts")
        assert operator.get("").heading == "Accounts"
        leave = next(form for form in page.forms if form.action.endswith("/logout"))
        assert is_out(operator.send(leave))
        assert is_out(operator.get("accounts"))
    enrolling.gateway.wait_for("operator logged in on the page", address="127.0.0.1")


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD[:-1], f"{PASSWORD} ", "é\x00\N{PILE OF POO}"])
def test_no_other_password_does(enrolling: Enrolling, password: str) -> None:
    with enrolling.person() as stranger:
        page = stranger.log_in(password)
        assert (page.status, "The password is wrong" in page.text) == (403, True)
        assert is_out(stranger.get("accounts"))
    enrolling.gateway.wait_for("operator's login on the page failed")


def test_whoever_guesses_is_locked_out(start_enrolling: StartEnrolling) -> None:
    enrolling = start_enrolling(limits={"guesses": {"per_account": 2}})
    with enrolling.person() as stranger:
        for guess in ("one", "two"):
            assert stranger.log_in(guess).status == 403
        page = stranger.log_in(PASSWORD)
        assert (page.status, "Too many attempts" in page.text) == (429, True)
        assert is_out(stranger.get("accounts"))


def test_guesses_here_lock_nobodys_device_out(start_enrolling: StartEnrolling) -> None:
    """POP3 has counts of its own: neither keeps the other's people out."""
    enrolling = start_enrolling(limits={"guesses": {"per_address": 1}})
    with_accounts(enrolling, "ann@example.org")
    told = enrolling.gateway.account("password", "add", "ann@example.org")
    with enrolling.person() as stranger:
        stranger.log_in("one")
        assert stranger.log_in("two").status == 429
    client = poplib.POP3("127.0.0.1", enrolling.gateway.port, timeout=30)
    client.user("ann@example.org")
    with pytest.raises(poplib.error_proto, match="does not take the password that is stored"):  # ours it takes
        client.pass_(told["password"])
    client.close()


def test_without_a_password_in_the_settings_there_is_no_such_view(start_enrolling: StartEnrolling) -> None:
    enrolling = start_enrolling({"password": None})
    with enrolling.person() as person:
        page = person.get("")
        assert is_out(page)
        assert page.forms == []
        assert is_out(person.get("accounts"))


@pytest.mark.parametrize("cookie", ["x", "", "gAAAAAB" + "x" * 100, "\xe2\x98\x83", "x" * 5000])
def test_a_made_up_session_is_none(enrolling: Enrolling, cookie: str) -> None:
    headers = httpx.Headers({"Cookie": f"operator={cookie}"}, encoding="latin-1")
    assert httpx.get(f"{enrolling.url}/accounts", headers=headers).status_code == 303


def test_what_is_sealed_for_a_form_is_no_session(enrolling: Enrolling) -> None:
    with enrolling.person() as stranger:
        [form] = stranger.get("").forms
        answer = stranger.http.get(
            f"{enrolling.url}/accounts", headers={"Cookie": f"operator={form.fields['form']}"}
        )
        assert answer.status_code == 303


def test_another_password_in_the_settings_ends_all_sessions(
    start_enrolling: StartEnrolling, tmp_path: object
) -> None:
    state = f"{tmp_path}/state"
    before = start_enrolling(state=state)
    with before.person() as operator:
        operator.log_in(PASSWORD)
        session = operator.http.cookies["operator"]
    assert before.gateway.stop() == 0
    for password, status in ((PASSWORD, 200), ("another-long-one", 303)):
        after = start_enrolling({"password": password}, state=state)
        with after.person() as operator:
            answer = operator.http.get(f"{after.url}/accounts", headers={"Cookie": f"operator={session}"})
            assert answer.status_code == status
        after.gateway.stop()


@contextlib.contextmanager
def vault_of(enrolling: Enrolling) -> Iterator[Vault]:
    state = open_state(enrolling.gateway.state)
    keys = Keys.of(None, enrolling.gateway.state / "vault.keys", may_be_new=False)
    yield state.vault(lambda _: keys)
    state.close()


def with_accounts(enrolling: Enrolling, *names: str) -> None:
    """Opened with a password, each."""
    with vault_of(enrolling) as vault:
        for name in names:
            vault.add(made.new_account(name, Secret("secret-of-the-mailbox"), time.time()))


def listed(page: Page) -> list[str]:
    return [form.fields["login"] for form in page.forms if "login" in form.fields][:-1]


def test_accounts_are_listed_and_searched_for(start_enrolling: StartEnrolling) -> None:
    enrolling = start_enrolling()
    with_accounts(enrolling, "ann@example.org", "Bob@example.org", "carl@example.com")
    with enrolling.person() as operator:
        assert listed(operator.log_in(PASSWORD)) == ["ann@example.org", "Bob@example.org", "carl@example.com"]
        assert listed(operator.get("accounts?q=EXAMPLE.ORG")) == ["ann@example.org", "Bob@example.org"]
        assert "No account has that in its name." in operator.get("accounts?q=nobody").text


def test_what_an_application_opens_nobody_is_asked_to_sign_in_for(start_enrolling: StartEnrolling) -> None:
    enrolling = start_enrolling()
    with_accounts(enrolling, "ann@example.org", "bob@example.org")
    with vault_of(enrolling) as vault:
        vault.set_grant(
            "bob@example.org", Grant("example", Renewal.CLIENT, time.time(), trouble="it was taken back")
        )
    with enrolling.person() as operator:
        page = operator.log_in(PASSWORD)
    assert listed(page) == ["ann@example.org"]
    assert "it was taken back" in page.text


def test_a_long_list_says_that_it_is_not_all(start_enrolling: StartEnrolling) -> None:
    enrolling = start_enrolling()
    with_accounts(enrolling, *(f"user{number:03}" for number in range(201)))
    with enrolling.person() as operator:
        page = operator.log_in(PASSWORD)
        assert len(listed(page)) == 200
        assert "There are more" in page.text
        assert "There are more" not in operator.get("accounts?q=user0").text


def test_names_are_shown_and_never_run(enrolling: Enrolling) -> None:
    name = '<script>alert(1)</script>"&'
    with_accounts(enrolling, name)
    with enrolling.person() as operator:
        page = operator.log_in(PASSWORD)
        assert name in listed(page)
        assert "<script" not in page.text
        assert "<script" not in operator.get("accounts?q=<script>").text
        assert "<script" not in operator.get(enrolling.invite(name, label="<script>")).text


@pytest.mark.parametrize(
    ("filled", "said"),
    [
        ({"login": ""}, "An account needs a login name."),
        ({"login": "x" * 300}, "more than 255 octets"),
        ({"login": "ann", "provider": "nobody"}, "Nobody can sign in with nobody here."),
    ],
)
def test_an_invitation_that_cannot_be_is_told_and_the_form_is_kept(
    enrolling: Enrolling, filled: dict[str, str], said: str
) -> None:
    with enrolling.person() as operator:
        page = operator.log_in(PASSWORD)
        page = operator.send(page.forms[-1], **filled, label="kept")
        assert page.status == 400
        assert said in page.text
        assert page.forms[-1].fields["label"] == "kept"


def test_the_operator_signs_in_for_an_own_mailbox_on_the_spot(enrolling: Enrolling) -> None:
    with enrolling.person() as operator:
        page = operator.log_in(PASSWORD)
        page = operator.send(page.forms[-1], login="me@example.org")
        own = next(link for link in page.links if "/i/" in link)
        assert operator.get(own).heading == "Connect your mailbox"
    event = enrolling.gateway.wait_for("invitation made", user="me@example.org")
    assert event["invitation"] not in own


def test_every_page_says_whom_to_ask(enrolling: Enrolling) -> None:
    with enrolling.person() as person:
        for place in ("", "i/x", "nowhere", "callback"):
            assert f"mailto:{CONTACT}" in person.get(place).text


def test_strangers_find_nothing_out(enrolling: Enrolling) -> None:
    """What needs the operator leads strangers to the front, whatever they send."""
    with enrolling.person() as stranger:
        [form] = stranger.get("").forms
        form.action = f"{enrolling.url}/invitations"
        assert is_out(stranger.send(form, login="stranger@example.org"))
    assert not [event for event in enrolling.gateway.events if event.get("user") == "stranger@example.org"]
