"""Accounts as people and scripts read them."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from gateway.accounts.made import last_day
from gateway.cli.providers import signing_in_again
from gateway.ports import AppPassword, StoredAccount
from gateway.sasl import Secret

UNBOUNDED = 100_000  # columns of a file, or of another program's input

OK = "ok"
SIGN_IN_AGAIN = "sign in again"
PROVIDER_FAULT = "the provider gives no token now"


def print_json(told: Any) -> None:
    click.echo(json.dumps(told, indent=2))


def show_once(known: StoredAccount, new: AppPassword, shown: Secret, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(as_json_object(known) | {"passwords": [password_as_json(new)], "password": shown.reveal()})
        )
        return
    click.echo(f"user:      {known.login}", err=True)
    click.echo("password:  ", nl=False, err=True)
    click.echo(shown.reveal())
    click.echo(f"It is called {new.name}, and not shown again: type it into the device now.", err=True)


def as_json_object(known: StoredAccount) -> dict[str, Any]:
    return {
        "login": known.login,
        "upstream": known.upstream,
        "user": known.user,
        "provider": known.grant.provider if known.grant else "",
        "grant": known.grant.renewal.value if known.grant else "",
        "state": state_of(known),
        "trouble": trouble_of(known),
        "folder": known.folder,
        "on_delete": known.on_delete.value if known.on_delete else "",
        "created": moment(known.created),
        "passwords": [password_as_json(password) for password in known.passwords],
    }


def password_as_json(known: AppPassword) -> dict[str, Any]:
    return {
        "name": known.name,
        "label": known.label,
        "created": moment(known.created),
        "used": moment(known.used),
        "expires": last_day(known.expires),
        "read_only": known.read_only,
        "folder": known.folder,
        "networks": list(known.networks),
        "on_delete": known.on_delete.value if known.on_delete else "",
    }


def state_of(known: StoredAccount) -> str:
    """As far as it is known: a password that was changed upstream is found out by a login only."""
    if known.grant is None or not (known.grant.trouble or known.grant.fault):
        return OK
    return SIGN_IN_AGAIN if known.grant.trouble else PROVIDER_FAULT


def trouble_of(known: StoredAccount) -> str:
    return (known.grant.trouble or known.grant.fault) if known.grant else ""


def remedy_of(known: StoredAccount) -> str:
    """What to type, or whom to wait for; "": nothing."""
    if state_of(known) == SIGN_IN_AGAIN:
        return signing_in_again(known.login)
    return "it is asked again with the next login" if state_of(known) == PROVIDER_FAULT else ""


def upstream_of(known: StoredAccount) -> str:
    name = known.user if known.user != known.login else ""
    place = known.grant.provider if known.grant else known.upstream or "the usual upstream"
    return " as ".join(part for part in (place, name) if part)


def moment(when: float) -> str:
    """In UTC, as programs have it (ISO 8601); "" for 0."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%dT%H:%MZ}" if when else ""


def day(when: float) -> str:
    """In UTC; "" for 0."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M}" if when else ""


def table_of(*columns: str) -> Table:
    """What has no room in a line goes on in the next: a name that is cut could not be copied."""
    return Table(*(Column(name, overflow="fold") for name in columns))


def output() -> Console:
    """Without markup: a label may be the words of whoever was invited. What is no terminal has all the room."""
    width = None if sys.stdout.isatty() else UNBOUNDED
    return Console(highlight=False, markup=False, width=width, soft_wrap=width is not None)
