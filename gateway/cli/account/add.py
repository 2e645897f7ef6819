"""account add."""

import sys
import time
from dataclasses import replace
from typing import Any

import click

from gateway.accounts import made
from gateway.app.names import folder_names
from gateway.app.state import vault_of
from gateway.cli.account.shared import (
    POLICIES,
    as_json_option,
    login_argument,
    new_password,
    signed_in,
    with_terms,
)
from gateway.cli.account.shown import show_once
from gateway.cli.account.trial import try_login
from gateway.cli.options import ask_secret, settings, with_settings
from gateway.cli.providers import SignInOptions, guessed, named, with_sign_in
from gateway.cli.terminal import say
from gateway.config import Settings
from gateway.errors import BadRecord, SettingsError
from gateway.maildrop import OnDelete
from gateway.oauth import Client
from gateway.ports import StoredAccount
from gateway.sasl import Secret

_OTHERWISE = "; or have its owner sign in at a mail provider: --provider NAME, which needs no terminal"


@click.command(short_help="Make an account, and its first app password.")
@login_argument
@click.option("--user", metavar="NAME", default="", help="The name at the upstream, if it is another than LOGIN.")
@click.option("--server", metavar="URL", default="", help="Its upstream, if it is not the usual one.")
@click.option("--folder", metavar="NAME", default="", help="The mailbox that clients see, if not maildrop.folder.")
@click.option("--on-delete", type=POLICIES, help="What becomes of deleted messages, if not maildrop.on_delete.")
@click.option("--password", is_flag=True, help="The upstream takes a password: do not look who has the mailbox.")
@click.option("--master", is_flag=True, help="Without a password there: upstream.master logs in for it.")
@click.option("--no-check", is_flag=True, help="Do not try the login at the upstream.")
@with_terms
@as_json_option
@with_sign_in
@with_settings
def add(
    login: str,
    user: str,
    server: str,
    folder: str,
    on_delete: str | None,
    password: bool,
    master: bool,
    no_check: bool,
    terms: made.Terms,
    as_json: bool,
    wishes: SignInOptions,
    **given: Any,
) -> None:
    """Make an account for LOGIN, and a first app password, which is shown this once.

    Where the mailbox is with a provider that has OAuth, its owner signs in there: Microsoft 365, Google and others
    are known by the domain. Else its password is asked for, or read from standard input. Either is tried at once.
    """
    chosen = settings(**given)
    chosen.endpoint(server)  # raises where it is no URL of ours
    _demand_free(chosen, login)
    made.demand_possible(terms, time.time())
    if (password or master) and not wishes.are_none:
        raise click.UsageError("a sign-in at a provider takes the place of --password and --master; leave one out")
    client = None if password or master else _client(chosen, login, wishes, elsewhere=bool(user or server))
    provider = client.provider if client else None
    new = made.new_account(
        login,
        Secret(""),
        time.time(),
        user=user,
        upstream=server or (provider.upstream if provider else ""),
        folder=folder,
        on_delete=OnDelete(on_delete) if on_delete else (provider.on_delete if provider else None),
    )
    if client is not None:
        new = signed_in(chosen, client, new, wishes)
    elif not master:
        new = made.with_secret(new, ask_secret(f"Password of {new.user} at the upstream", _OTHERWISE))
    if not no_check:
        try_login(chosen, new)
    _store(chosen, new, terms, as_json=as_json)


def _demand_free(chosen: Settings, login: str) -> None:
    name, folder = folder_names(chosen).split(login)
    if folder:
        raise BadRecord(f"{login} is the folder {folder} of {name} (maildrop.folder_separator): add {name}")
    with vault_of(chosen) as vault:
        if not vault.is_unused and vault.find(login):
            raise BadRecord(f"there is an account {login} already; `account show {login}` tells of it")


def _client(chosen: Settings, login: str, wishes: SignInOptions, *, elsewhere: bool) -> Client | None:
    """At whose provider the owner signs in; None: nowhere, it is a password that opens the mailbox."""
    if wishes.provider:
        return named(chosen, wishes.provider)
    if wishes.are_none and (elsewhere or not sys.stdin.isatty()):
        return None
    client = guessed(chosen, login)
    if client is not None:
        say(
            f"The mail of {login} is with {client.provider.title}: it takes a sign-in there. "
            "(If not: --provider NAME, or --password for a password that the mail server takes.)"
        )
    elif not wishes.are_none:
        raise SettingsError(f"who has the mailbox {login} is not known; say it with --provider NAME")
    return client


def _store(chosen: Settings, new: StoredAccount, terms: made.Terms, *, as_json: bool) -> None:
    """All of it at once, and the password is shown when it opens something."""
    password, shown = new_password(chosen, new, terms)
    with vault_of(chosen) as vault:
        vault.add(replace(new, passwords=(password,)))
    show_once(new, password, shown, as_json=as_json)
