"""account remove and upstream-password."""

from dataclasses import replace
from typing import Any

import click

from gateway.accounts import made
from gateway.app.state import vault_of
from gateway.cli.account.shared import found, login_argument
from gateway.cli.account.trial import try_login
from gateway.cli.options import ask_secret, settings, with_settings
from gateway.cli.terminal import say
from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.oauth import Renewals
from gateway.ports import StoredAccount


@click.command(short_help="Forget an account and its passwords.")
@login_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings
def remove(login: str, yes: bool, **given: Any) -> None:
    """Forget an account and its passwords, and withdraw its invitations. The mailbox stays as it is."""
    chosen = settings(**given)
    with vault_of(chosen) as vault:
        known = found(vault, login)
        if not yes:
            click.confirm(f"Remove {known.login} and its {len(known.passwords)} passwords?", abort=True, err=True)
        vault.remove(login)
    say(f"{known.login} is removed; sessions that are open go on")
    _give_back(chosen, known)


def _give_back(chosen: Settings, known: StoredAccount) -> None:
    """To the provider, what the owner has granted: that account is removed here, whatever becomes of it there."""
    if known.grant is None or known.grant.refresh is None:
        return
    try:
        Renewals(chosen.clients()).revoke(known.grant)
    except GatewayError as error:
        say(f"{known.grant.provider} could not be told that it need not let us in any more: {error}")


@click.command("upstream-password", short_help="Store a new password of the mailbox.")
@login_argument
@click.option("--no-check", is_flag=True, help="Do not try the login at the upstream.")
@with_settings
def upstream_password(login: str, no_check: bool, **given: Any) -> None:
    """After the mailbox's password was changed at the upstream. App passwords stay as they are.

    An account that was signed in at a provider is opened with this password from now on.
    """
    chosen = settings(**given)
    with vault_of(chosen) as vault:
        known = found(vault, login)
        secret = ask_secret(f"Password of {known.user} at the upstream")
        if not no_check:
            try_login(chosen, replace(made.with_secret(known, secret), grant=None))
        vault.set_secret(login, secret)
        if known.grant is not None:
            vault.set_grant(login, None)
    say(f"the mailbox's password of {known.login} is changed")
