"""account authorize."""

from typing import Any

import click

from gateway.app.state import vault_of
from gateway.cli.account.shared import as_json_option, found, login_argument, signed_in
from gateway.cli.account.shown import as_json_object, print_json
from gateway.cli.account.trial import try_login
from gateway.cli.options import settings, with_settings
from gateway.cli.providers import SignInOptions, guessed, named, with_sign_in
from gateway.cli.terminal import say
from gateway.config import Settings
from gateway.errors import SettingsError
from gateway.oauth import Client
from gateway.ports import StoredAccount


@click.command(short_help="Sign in again at the provider; app passwords stay.")
@login_argument
@click.option("--no-check", is_flag=True, help="Do not try the login at the upstream.")
@as_json_option
@with_sign_in
@with_settings
def authorize(login: str, no_check: bool, as_json: bool, wishes: SignInOptions, **given: Any) -> None:
    """Sign in again for LOGIN, or for the first time, where it was a password that opened the mailbox.

    App passwords stay as they are: no device has to be changed.
    """
    chosen = settings(**given)
    with vault_of(chosen) as vault:
        known = found(vault, login)
    renewed = signed_in(chosen, _client(chosen, known, wishes), known, wishes)
    if not no_check:
        try_login(chosen, renewed)
    with vault_of(chosen) as vault:
        if renewed.secret != known.secret:
            vault.set_secret(login, renewed.secret)
        vault.set_grant(login, renewed.grant)
    if as_json:
        print_json(as_json_object(renewed))
    say(f"{known.login} is signed in; its app passwords are good as before")


def _client(chosen: Settings, known: StoredAccount, wishes: SignInOptions) -> Client:
    """Raises SettingsError."""
    if wishes.provider or known.grant:
        return named(chosen, wishes.provider or (known.grant.provider if known.grant else ""))
    client = guessed(chosen, known.user)
    if client is None:
        raise SettingsError(f"who has the mailbox {known.user} is not known; say it with --provider NAME")
    return client
