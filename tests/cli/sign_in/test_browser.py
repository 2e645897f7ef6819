"""`account add` with a browser: from the command to the first mail, and all that can go wrong between."""

import re
import socket

import pytest

from tests import leaks
from tests.cli.sign_in.conftest import Rig
from tests.cli.sign_in.flows import MESSAGE, fetched, shown_password
from tests.fakes.faults import Say
from tests.fakes.imap import FakeImap
from tests.servers.machine import free_ports
from tests.servers.tls import Certificates

URL = r"(?m)^(http://127\.0\.0\.1:\d+/auth\?\S+)$"


def test_from_the_command_to_the_first_mail(rig: Rig) -> None:
    with rig.add("--label", "printer", environment=rig.browser()) as terminal:
        terminal.wait_for("Your browser is asked to open this page")
        terminal.wait_for(f"logged in as {rig.mailbox.user}: INBOX has 1 message")
        password = shown_password(terminal)
        assert fetched(rig, password) == MESSAGE
    # The tokens are known by now.
    assert leaks.find(terminal.text.replace(password, "").encode()) == []


def test_a_browser_elsewhere_ends_with_an_address_to_paste(rig: Rig) -> None:
    with rig.add("--no-browser") as terminal:
        url = terminal.wait_for(URL)[1]
        with rig.authorization.browser() as browser:
            back = browser.sign_in(url, rig.mailbox.user)
        terminal.wait_for("Ctrl-C gives up")
        assert not terminal.shows_what_is_typed
        terminal.type(back + "\n")
        assert fetched(rig, shown_password(terminal)) == MESSAGE
        assert "code=" not in terminal.text.partition("Ctrl-C")[2]


def test_rubbish_is_told_and_the_right_address_still_taken(rig: Rig) -> None:
    with rig.add("--no-browser") as terminal:
        url = terminal.wait_for(URL)[1]
        terminal.wait_for("Ctrl-C gives up")
        for rubbish in ("hello", url, "http://127.0.0.1/?code=x&state=y"):
            terminal.type(rubbish + "\n")
        terminal.wait_for("(?s)has no code in it.*has no code in it.*another sign-in")
        with rig.authorization.browser() as browser:
            terminal.type(browser.sign_in(url, rig.mailbox.user) + "\n")
        shown_password(terminal)


def test_a_code_that_the_provider_does_not_know_makes_no_account(rig: Rig) -> None:
    with rig.add("--no-browser") as terminal:
        state = re.search(r"[?&]state=([^&]+)", terminal.wait_for(URL)[1])
        assert state
        terminal.wait_for("Ctrl-C gives up")
        terminal.type(f"http://127.0.0.1/?code=guessed&state={state[1]}\n")
        assert terminal.end() == 1
    assert "pop3-gateway: " in terminal.text
    assert not rig.left_behind


def test_whoever_says_no_makes_no_account(rig: Rig) -> None:
    with rig.add(environment=rig.browser(allow=False)) as terminal:
        assert terminal.end() == 1
    assert "Traceback" not in terminal.text
    assert "access_denied" in terminal.text or "refused" in terminal.text
    assert not rig.left_behind


def test_somebody_else_who_signs_in_opens_nothing(rig: Rig) -> None:
    with rig.add(environment=rig.browser(user="mallory@example.org")) as terminal:
        assert terminal.end() == 2
    assert f"does not take it for {rig.mailbox.user}" in terminal.text
    assert not rig.left_behind


def test_so_does_one_who_may_not_open_this_mailbox_though_exchange_lets_him_in(
    rig: Rig, certificates: Certificates
) -> None:
    with FakeImap(certificates) as exchange:
        exchange.on("AUTHENTICATE", Say("OK AUTHENTICATE completed."))
        exchange.on("SELECT", Say("BAD User is authenticated but not connected."))
        rig.set(upstream=f"imaps://{exchange.host}:{exchange.imaps_port}?ca_file={exchange.ca_file}")
        with rig.add(environment=rig.browser()) as terminal:
            assert terminal.end() == 2
    assert f"does not take it for {rig.mailbox.user}" in terminal.text
    assert not rig.left_behind


def test_a_browser_that_never_comes_back_is_waited_for_so_long(rig: Rig) -> None:
    with rig.add("--no-browser", "--patience", "1") as terminal:
        assert terminal.end() == 1
        assert terminal.shows_what_is_typed
    assert "nobody has signed in" in terminal.text
    assert not rig.left_behind
    with rig.add("--patience", "0") as terminal:
        assert terminal.end() == 2


def test_ctrl_c_leaves_nothing_behind(rig: Rig) -> None:
    with rig.add("--no-browser") as terminal:
        terminal.wait_for("Ctrl-C gives up")
        terminal.interrupt()
        assert terminal.end() == 1
        assert terminal.shows_what_is_typed
    assert "Aborted!" in terminal.text
    assert "Traceback" not in terminal.text
    assert not rig.left_behind


def test_nobody_but_the_person_asked_gets_to_see_a_secret(rig: Rig) -> None:
    rig.set(client_id=None)
    secret = {"POP3_GATEWAY_CLIENT_SECRET": "not-a-real-one-1"}
    with rig.add("--no-browser", "--client-id", rig.client.client_id, environment=secret) as terminal:
        terminal.wait_for("Ctrl-C gives up")
        with open(f"/proc/{terminal.pid}/cmdline", "rb") as arguments:
            assert b"not-a-real" not in arguments.read()
    assert "not-a-real" not in terminal.text


def test_an_application_that_nobody_has_named_is_asked_for(rig: Rig) -> None:
    rig.set(client_id=None)
    with rig.add("--no-browser") as terminal:
        terminal.wait_for(r"oauth\.stand-in\.client_id.*docs/oauth\.md")
        terminal.wait_for("Client ID: ")
        terminal.type(rig.client.client_id + "\n")
        terminal.wait_for("Client secret .*: ")
        terminal.type("\n")
        url = terminal.wait_for(URL)[1]
        terminal.wait_for("Ctrl-C gives up")
        with rig.authorization.browser() as browser:
            terminal.type(browser.sign_in(url, rig.mailbox.user) + "\n")
        assert fetched(rig, shown_password(terminal)) == MESSAGE


def test_an_application_with_a_secret_and_an_exact_redirect_uri(rig: Rig) -> None:
    [port] = free_ports("127.0.0.1", 1)
    uri = f"http://127.0.0.1:{port}/back"
    application = rig.authorization.register(uri)
    leaks.note(application.client_secret)
    rig.set(client_id=None)
    environment = rig.browser() | {"POP3_GATEWAY_CLIENT_SECRET": application.client_secret}
    options = ("--client-id", application.client_id, "--redirect-uri", uri)
    with rig.add(*options, environment=environment) as terminal:
        password = shown_password(terminal)
        assert fetched(rig, password) == MESSAGE
    assert leaks.find(terminal.text.replace(password, "").encode()) == []


def test_a_page_elsewhere_shows_a_code_to_paste(rig: Rig) -> None:
    uri = "https://provider.example/code"
    rig.set(client_id=rig.authorization.register(uri, public=True).client_id)
    with rig.add("--redirect-uri", uri) as terminal:
        url = terminal.wait_for(URL)[1]
        terminal.wait_for("It ends at https://provider.example/code")
        with rig.authorization.browser() as browser:
            code = re.search(r"[?&]code=([^&]+)", browser.sign_in(url, rig.mailbox.user))
        assert code
        terminal.wait_for("Ctrl-C gives up")
        terminal.type(code[1] + "\n")
        assert fetched(rig, shown_password(terminal)) == MESSAGE


def test_a_port_that_is_taken_is_told_before_anybody_signs_in(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        uri = f"http://127.0.0.1:{other.getsockname()[1]}/"
        with rig.add("--redirect-uri", uri) as terminal:
            assert terminal.end() == 1
    assert "Address already in use" in terminal.text
    assert "/auth?" not in terminal.text


@pytest.mark.parametrize("environment", [{"SSH_CONNECTION": "1 2 3 4", "DISPLAY": ":0"}, {}])
def test_without_a_browser_it_is_a_device_code(rig: Rig, environment: dict[str, str]) -> None:
    with rig.add(environment=environment) as terminal:
        terminal.wait_for("The code to enter there: ")
