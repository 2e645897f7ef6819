"""account change, remove and upstream-password."""

from dataclasses import replace
from typing import Any

import click

from gateway.accounts import made
from gateway.app.state import vault_of
from gateway.cli.account.shared import POLICIES, found, login_argument
from gateway.cli.account.trial import try_kept, try_login
from gateway.cli.options import ask_secret, own_settings, settings, with_settings
from gateway.cli.terminal import many, say
from gateway.config import OwnSettings
from gateway.errors import GatewayError
from gateway.maildrop import OnDelete
from gateway.oauth import Renewals
from gateway.ports import StoredAccount


@click.command(short_help="Open another mailbox, server or folder with it.")
@login_argument
@click.option("--server", metavar="URL", help="Its upstream; '': the usual one.")
@click.option("--user", metavar="NAME", help="The name at the upstream; '': LOGIN.")
@click.option("--folder", metavar="NAME", help="The mailbox that clients see; '': maildrop.folder.")
@click.option("--on-delete", type=click.Choice(["", *POLICIES.choices]), help="'': maildrop.on_delete.")
@click.option("--no-check", is_flag=True, help="Do not try the login at the upstream.")
@with_settings
def change(
    login: str,
    server: str | None,
    user: str | None,
    folder: str | None,
    on_delete: str | None,
    no_check: bool,
    **given: Any,
) -> None:
    """What LOGIN opens, when its mailbox has moved. What is not said stays, and so do all its app passwords.

    A session that is open goes on with what was there.
    """
    chosen = settings(**given)
    with vault_of(chosen) as vault:
        known = found(vault, login)
        new = made.usable(
            replace(
                known,
                upstream=known.upstream if server is None else server,
                user=known.user if user is None else user or known.login,
                folder=known.folder if folder is None else folder,
                on_delete=known.on_delete if on_delete is None else OnDelete(on_delete) if on_delete else None,
            )
        )
        if new == known:
            raise click.UsageError("nothing would change; say what: --server, --user, --folder, --on-delete")
        chosen.endpoint(new.upstream)  # raises where it is no URL of ours
        if not no_check:
            try_kept(chosen, new)
        vault.change(new)
    say(f"{known.login} is changed")
    if (new.upstream, new.user, new.folder) != (known.upstream, known.user, known.folder):
        say("its programs see another mailbox from the next login on, and fetch what is there as new")


@click.command(short_help="Forget an account and its passwords.")
@login_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings
def remove(login: str, yes: bool, **given: Any) -> None:
    """Forget an account and its passwords, and withdraw its invitations. The mailbox stays as it is."""
    chosen = own_settings(**given)
    with vault_of(chosen) as vault:
        known = found(vault, login)
        if not yes:
            passwords = many(len(known.passwords), "password")
            click.confirm(f"Remove {known.login} and its {passwords}?", abort=True, err=True)
        vault.remove(login)
    say(f"{known.login} is removed; sessions that are open go on")
    _give_back(chosen, known)


def _give_back(chosen: OwnSettings, known: StoredAccount) -> None:
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
