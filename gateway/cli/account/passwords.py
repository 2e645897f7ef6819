"""account password: add and revoke."""

from dataclasses import replace
from typing import Any

import click

from gateway.accounts import made
from gateway.app.state import vault_of
from gateway.cli.account.shared import POLICIES, as_json_option, found, login_argument, new_password, with_terms
from gateway.cli.account.shown import show_once
from gateway.cli.account.trial import try_kept
from gateway.cli.options import own_settings, settings, with_settings
from gateway.maildrop import OnDelete


@click.group(short_help="An account's app passwords: add, revoke.")
def password() -> None:
    """App passwords: one for each device or program, so that one can be taken back without the others."""


@password.command("add", short_help="Make a further password; it is shown this once.")
@login_argument
@with_terms
@click.option("--folder", metavar="NAME", default="", help="Another folder than the account's.")
@click.option("--on-delete", type=POLICIES, help="Another policy than the account's.")
@click.option("--no-check", is_flag=True, help="Do not look for the folder at the upstream.")
@as_json_option
@with_settings
def add_password(
    login: str,
    terms: made.Terms,
    folder: str,
    on_delete: str | None,
    no_check: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Make a further password for LOGIN. It is shown this once."""
    terms = replace(terms, folder=folder, on_delete=OnDelete(on_delete) if on_delete else None)
    chosen = own_settings(**given)
    with vault_of(chosen) as vault:
        known = found(vault, login)
        if folder and not no_check:
            try_kept(settings(**given), replace(known, folder=folder))
        new, shown = new_password(chosen, known, terms)
        vault.add_password(login, new)
    show_once(known, new, shown, as_json=as_json)


@password.command(short_help="Take a password back.")
@login_argument
@click.argument("name")
@with_settings
def revoke(login: str, name: str, **given: Any) -> None:
    """Take back the password NAME of LOGIN; `account show LOGIN` lists the names."""
    with vault_of(own_settings(**given)) as vault:
        found(vault, login)
        vault.revoke(login, name)
    click.echo(f"{name} of {login} opens nothing any more; sessions that are open go on", err=True)
