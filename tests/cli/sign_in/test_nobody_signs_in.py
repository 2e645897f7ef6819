"""Flows that ask no owner: the operator's application opens the mailbox, or a password does at the provider."""

import json

import pytest

from tests import leaks
from tests.cli.sign_in.conftest import Rig
from tests.cli.sign_in.flows import MESSAGE, fetched, shown_password
from tests.granted import JUDGES, MECHANISMS
from tests.oauth import keys
from tests.servers.dovecot import Dovecot
from tests.servers.tls import Certificates


def test_an_application_opens_a_mailbox_with_its_secret(rig: Rig, certificates: Certificates) -> None:
    """Whose name is that of the application, for that is all that is in such a token here."""
    application = rig.authorization.register()
    leaks.note(application.client_secret)
    asking = rig.authorization.register(token_endpoint_auth_method="client_secret_basic")
    secret = f"{asking.client_id}:{asking.client_secret}@"
    url = rig.authorization.introspection_endpoint.replace("http://", f"http://{secret}")
    judge = JUDGES["introspection"].format(url=url).replace("sub", "client_id")
    with Dovecot(certificates, auth_mechanisms=MECHANISMS, oauth2=judge) as server:
        server.add_user(application.client_id, "never-asked-for")
        server.deliver(application.client_id, [MESSAGE])
        url = f"imaps://{server.host}:{server.imaps_port}?ca_file={server.ca_file}"
        rig.set(client_id=application.client_id, client_secret=application.client_secret, upstream=url)
        arguments = (
            "account",
            "add",
            "daemon",
            "--user",
            application.client_id,
            "--provider",
            "stand-in",
            "--json",
        )
        with rig.script(*arguments, "--flow", "client-credentials") as script:
            told = script.told()
        assert told["grant"] == "client_credentials"
        assert fetched(rig, told["password"], "daemon") == MESSAGE
    assert not leaks.find(script.errors.encode())


def test_without_a_secret_an_application_opens_nothing(rig: Rig) -> None:
    with rig.script(
        "account", "add", "daemon", "--provider", "stand-in", "--flow", "client-credentials"
    ) as script:
        assert script.end() == 2
    assert "set oauth.stand-in.client_secret or oauth.stand-in.certificate" in script.errors
    assert not rig.left_behind


def test_an_application_that_nobody_has_named_may_be_named_in_the_call(rig: Rig) -> None:
    with rig.script("account", "add", "a@example.org", "--provider", "google") as script:
        assert script.end() == 2
    assert "oauth.google.client_id is needed: register" in script.errors
    assert "or give it with --client-id ID" in script.errors


def test_a_wrong_secret_is_the_operators_to_mend(rig: Rig) -> None:
    application = rig.authorization.register()
    rig.set(client_id=application.client_id, client_secret="an-old-one-that-was")
    with rig.script(
        "account", "add", "daemon", "--provider", "stand-in", "--flow", "client-credentials"
    ) as script:
        assert script.end() == 2
    assert "invalid_client" in script.errors
    assert "See docs/oauth.md for what to do." in script.errors
    assert "an-old-one" not in script.errors


def test_a_service_account_opens_a_mailbox_and_is_what_is_taken_where_there_is_one(rig: Rig) -> None:
    rig.authorization.add_user(rig.mailbox.user, rig.mailbox.password)
    key = keys.service_account(rig.authorization, rig.config.parent)
    rig.set(client_id=None, service_account=str(key))
    with rig.script("account", "add", rig.mailbox.user, "--provider", "stand-in", "--json") as script:
        told = script.told()
    assert told["grant"] == "service_account"
    assert fetched(rig, told["password"]) == MESSAGE


def test_a_provider_that_has_passwords_is_asked_with_one(rig: Rig) -> None:
    rig.authorization.add_user(rig.mailbox.user, rig.mailbox.password)
    with rig.add("--flow", "password") as terminal:
        terminal.wait_for(f"Password of {rig.mailbox.user} at stand-in: ")
        terminal.type(rig.mailbox.password + "\n")
        password = shown_password(terminal)
        assert rig.mailbox.password not in terminal.text
    assert fetched(rig, password) == MESSAGE


def test_such_a_password_may_come_from_a_script(rig: Rig) -> None:
    rig.authorization.add_user(rig.mailbox.user, rig.mailbox.password)
    arguments = ("account", "add", rig.mailbox.user, "--provider", "stand-in", "--flow", "password", "--json")
    with rig.script(*arguments, said=f"{rig.mailbox.password}\n") as script:
        assert script.told()["grant"] == "password"
    with rig.script(*arguments[:2], "another", *arguments[3:], said="hunter2\n") as script:
        assert script.end() == 1
    assert "hunter2" not in script.errors


@pytest.mark.parametrize("option", ["--password", "--master"])
def test_a_sign_in_and_a_password_contradict_each_other(rig: Rig, option: str) -> None:
    with rig.script("account", "add", "a", "--provider", "stand-in", option) as script:
        assert script.end() == 2
    assert "leave one out" in script.errors


def test_many_accounts_of_one_application_are_a_list(rig: Rig) -> None:
    rig.authorization.add_user(rig.mailbox.user, rig.mailbox.password)
    key = keys.service_account(rig.authorization, rig.config.parent)
    rig.set(client_id=None, service_account=str(key))
    common = {"provider": "stand-in", "flow": "service-account", "passwords": [{"password": "a-device's own"}]}
    lines = [
        {"login": rig.mailbox.user} | common,
        {"login": "bob@example.org"} | common,
        {"login": "cid@example.org"} | common | {"flow": "code"},
        {"login": "dan@example.org"} | common | {"flow": "client-credentials"},
        {"login": "eve@example.org"} | common | {"provider": "google"},
    ]
    with rig.script("account", "import", "-", said="\n".join(map(json.dumps, lines))) as script:
        assert script.end() == 2
    assert "2 accounts taken, 3 not" in script.errors
    assert "line 3: provider wants a flow of client-credentials, service-account" in script.errors
    assert "line 4: client-credentials takes a secret or a certificate" in script.errors
    assert "line 5: oauth.google.client_id is needed" in script.errors
    assert fetched(rig, "a-device's own") == MESSAGE
