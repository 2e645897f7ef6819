"""What several of the account commands ask for and do."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import click

from gateway.accounts import made
from gateway.cli.options import ask_secret
from gateway.cli.providers import SignInOptions, guide, registered, way
from gateway.cli.sign_in import Flow, demand, granted
from gateway.config import OwnSettings, Settings
from gateway.errors import NoSuchAccount, RegistrationRefused
from gateway.maildrop import OnDelete
from gateway.oauth import Client
from gateway.ports import AppPassword, StoredAccount, Vault
from gateway.sasl import Secret

_F = TypeVar("_F", bound=Callable[..., Any])

POLICIES = click.Choice([policy.value for policy in OnDelete])
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
label_option = click.option(
    "--label", metavar="TEXT", default="", help="Where the password is used, for your memory."
)

_TERMS = (
    click.option("--read-only", is_flag=True, help="DELE is believed, and the mailbox keeps all."),
    click.option("--network", "networks", metavar="NET", multiple=True, help="Only from there; may be repeated."),
    click.option(
        "--expires", metavar="DAY", default="", help="The last day that it is good, like 2027-01-31 (UTC)."
    ),
)


def with_terms(command: _F) -> _F:
    """Adds what a password is good for, apart from its folder and policy; the command gets it as `terms`."""

    @wraps(command)
    def packed(label: str, read_only: bool, networks: tuple[str, ...], expires: str, **given: Any) -> Any:
        terms = made.Terms(label, made.expires_at(expires), read_only, networks=networks)
        return command(terms=terms, **given)

    for option in (*reversed(_TERMS), label_option):
        packed = option(packed)
    return packed  # type: ignore[return-value]


def _text(_: click.Context, parameter: click.Parameter, value: str) -> str:
    """Octets that are none in this locale come as halves of characters (PEP 383)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("that is no text in this terminal's encoding", param=parameter) from None
    return value


login_argument = click.argument("login", callback=_text)


def found(vault: Vault, login: str) -> StoredAccount:
    known = None if vault.is_unused else vault.find(login)
    if known is None:
        raise NoSuchAccount(f"there is no account {login}; `account list` tells which there are")
    return known


def new_password(chosen: OwnSettings, known: StoredAccount, terms: made.Terms) -> tuple[AppPassword, Secret]:
    return made.new_password(known, terms, time.time(), readable=chosen.accounts.readable_passwords)


def signed_in(chosen: Settings, client: Client, account: StoredAccount, wishes: SignInOptions) -> StoredAccount:
    """With a grant of the provider, newly given; a password that opened the mailbox is kept no longer.

    Raises SettingsError, SignInNeeded, ProviderError, CannotListen.
    """
    client, registration = registered(chosen, client, wishes, account.grant)
    flow, how = way(client, account.user, wishes, account.grant)
    demand(client, flow)  # before anything is asked
    secret = Secret("")
    if flow is Flow.PASSWORD:
        secret = ask_secret(f"Password of {account.user} at {client.provider.title}")
    try:
        grant = granted(client, registration, flow, account.user, secret, how)
    except RegistrationRefused as error:
        raise RegistrationRefused(f"{error}\nSee {guide(client.provider.name)} for what to do.") from error
    return replace(account, secret=secret, grant=grant)
