"""What becomes of a sign-in later: it is shown, it ends, it is given anew, it moves, it is given back."""

import json

import httpx

from tests.cli.sign_in.conftest import Rig
from tests.cli.sign_in.flows import MESSAGE, fetched, shown_password
from tests.gateway_process import GatewayProcess
from tests.servers.machine import free_ports


def enrolled(rig: Rig) -> str:
    """The app password of an account that has signed in."""
    with rig.add(environment=rig.browser()) as terminal:
        return shown_password(terminal)


def run(rig: Rig, *arguments: str, said: str = "", status: int = 0) -> tuple[str, str]:
    """What a script reads on standard output and standard error."""
    with rig.script(*arguments, said=said) as script:
        assert script.end() == status, script.errors
        return script.output, script.errors


def listed(rig: Rig) -> dict[str, str]:
    output, _ = run(rig, "account", "list", "--json")
    [account] = json.loads(output)
    assert isinstance(account, dict)
    return account


def authorized(rig: Rig, *arguments: str) -> None:
    with rig.terminal("account", "authorize", rig.mailbox.user, *arguments, environment=rig.browser()) as terminal:
        assert terminal.end() == 0, terminal.text
    assert "its app passwords are good as before" in terminal.text


def test_a_grant_that_is_over_is_told_with_what_to_type_and_given_anew(rig: Rig) -> None:
    password = enrolled(rig)
    assert (listed(rig)["state"], listed(rig)["provider"]) == ("ok", "stand-in")
    rig.authorization.revoke(rig.mailbox.user)
    run(rig, "check", "--account", rig.mailbox.user, status=1)
    account = listed(rig)
    assert account["state"] == "sign in again"
    assert "invalid_grant" in account["trouble"]
    for command in (["list"], ["show", rig.mailbox.user]):
        output, _ = run(rig, "account", *command)
        assert f"type `pop3-gateway account authorize {rig.mailbox.user}`" in output
    authorized(rig)
    assert (listed(rig)["state"], listed(rig)["trouble"]) == ("ok", "")
    assert fetched(rig, password) == MESSAGE


def test_a_provider_that_is_down_costs_no_sign_in(rig: Rig) -> None:
    rig.authorization.behave(access_seconds=20)
    enrolled(rig)
    rig.authorization.behave(status=503)
    while listed(rig)["state"] == "ok":  # until the token has a tenth of its life left
        with rig.script("check", "--account", rig.mailbox.user) as script:
            script.end()
    assert listed(rig)["state"] == "the provider gives no token now"
    output, _ = run(rig, "account", "list")
    assert "it is asked again with the next login" in output


def test_an_account_with_a_password_moves_to_its_provider_and_back(rig: Rig) -> None:
    user, password, here = rig.mailbox.user, rig.mailbox.password, rig.settings["upstream"]
    output, _ = run(rig, "account", "add", user, said=f"{password}\n")
    assert listed(rig)["provider"] == ""
    rig.settings["upstream"] = "imaps://elsewhere.example"
    rig.set()
    authorized(rig, "--provider", "stand-in")
    assert listed(rig)["provider"] == "stand-in"
    assert fetched(rig, output.strip()) == MESSAGE
    rig.settings["upstream"] = here
    rig.set()
    run(rig, "account", "upstream-password", user, said=f"{password}\n")
    assert listed(rig)["provider"] == ""
    assert fetched(rig, output.strip()) == MESSAGE


def test_signing_in_again_may_fail_and_leaves_all_as_it_was(rig: Rig) -> None:
    password = enrolled(rig)
    before = run(rig, "account", "show", rig.mailbox.user, "--json")
    browser = rig.browser(user="mallory@example.org")
    with rig.terminal("account", "authorize", rig.mailbox.user, environment=browser) as terminal:
        assert terminal.end() == 2
    assert run(rig, "account", "show", rig.mailbox.user, "--json") == before
    assert fetched(rig, password) == MESSAGE


def test_an_application_of_ones_own_is_remembered(rig: Rig) -> None:
    rig.set(client_id=None)
    own = ("--client-id", rig.client.client_id)
    environment = rig.browser() | {"POP3_GATEWAY_CLIENT_SECRET": ""}
    with rig.add(*own, environment=environment) as terminal:
        terminal.wait_for("Client secret")
        terminal.type("\n")
        password = shown_password(terminal)
    authorized(rig)
    assert fetched(rig, password) == MESSAGE


def test_what_is_removed_is_given_back_to_the_provider(rig: Rig) -> None:
    enrolled(rig)
    export, _ = run(rig, "account", "export", "-")
    run(rig, "account", "remove", rig.mailbox.user, "--yes")
    # With the very same grant it opens no more.
    run(rig, "account", "import", "-", said=export)
    run(rig, "check", "--account", rig.mailbox.user, status=1)
    assert listed(rig)["state"] == "sign in again"


def test_an_export_takes_the_grant_along_and_holds_no_secret(rig: Rig) -> None:
    password = enrolled(rig)
    export, _ = run(rig, "account", "export", "-")
    account = json.loads(export)
    assert account["granted"].startswith("gAAAA")  # Fernet
    vault = rig.state / "accounts.sqlite3"
    for file in rig.state.glob("accounts.sqlite3*"):
        file.unlink()
    run(rig, "account", "import", "-", said=export)
    assert vault.exists()
    assert fetched(rig, password) == MESSAGE


def test_nothing_is_asked_again_of_an_application_that_asks_nobody(rig: Rig) -> None:
    rig.authorization.add_user(rig.mailbox.user, rig.mailbox.password)
    user, password = rig.mailbox.user, rig.mailbox.password
    provider = ("--provider", "stand-in", "--flow", "password")
    output, _ = run(rig, "account", "add", user, *provider, said=f"{password}\n")
    run(rig, "account", "authorize", user, said=f"{password}\n")
    assert listed(rig)["grant"] == "password"
    assert fetched(rig, output.strip()) == MESSAGE


def test_nothing_is_asked_for_a_way_that_the_provider_has_not(rig: Rig) -> None:
    rig.settings["oauth"]["google"] = {"client_id": "ours"}
    rig.set()
    provider = ("--provider", "google", "--flow", "password")
    with rig.terminal("account", "add", rig.mailbox.user, *provider) as terminal:
        assert terminal.end() == 2
    assert "Google has no password; --flow may be" in terminal.text


def test_whom_nobody_knows_has_to_be_named(rig: Rig) -> None:
    user = rig.mailbox.user
    run(rig, "account", "add", user, "--user", "ann", "--no-check", said="secret\n")
    _, told = run(rig, "account", "authorize", user, status=2)
    assert "say it with --provider NAME" in told
    _, told = run(rig, "account", "authorize", user, "--provider", "stand-on", status=2)
    assert "did you mean stand-in?" in told


def test_an_invitation_leads_to_the_page_of_the_gateway(rig: Rig) -> None:
    user = rig.mailbox.user
    _, told = run(rig, "account", "invite", user, status=2)
    assert "set web.listen" in told
    [port] = free_ports("127.0.0.1", 1)
    rig.settings["web"] = {"listen": f"http://127.0.0.1:{port}"}
    rig.set()
    link, told = run(rig, "account", "invite", user, "--provider", "stand-in", "--expires", "2999-12-31")
    assert f"For the owner of {user}, good once and until 3000-01-01 00:00 UTC" in told
    with GatewayProcess(rig.settings, rig.config.parent / "running"):
        page = httpx.get(link.strip(), trust_env=False)
    assert page.status_code == 200
    assert user in page.text
    output, _ = run(rig, "account", "invite", user, "--json")
    assert json.loads(output)["link"].startswith(f"http://localhost:{port}/i/")


def test_check_looks_at_a_provider(rig: Rig) -> None:
    output, _ = run(rig, "check", "--provider", "stand-in")
    assert f"ok    application: at stand-in: {rig.client.client_id}" in output
    assert f"ok    sign-in: at {rig.authorization.issuer.removeprefix('http://')}" in output
    assert "ok    ways: --flow code, device, password" in output
    _, told = run(rig, "check", "--provider", "google", status=2)
    assert "oauth.google.client_id is needed: register an application at https://console.cloud.google.com" in told
