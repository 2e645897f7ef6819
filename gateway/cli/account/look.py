"""account list and show."""

from typing import Any

import click

from gateway.accounts.made import last_day
from gateway.app.state import vault_of
from gateway.cli.account.shared import as_json_option, found, login_argument
from gateway.cli.account.shown import (
    as_json_object,
    day,
    output,
    print_json,
    remedy_of,
    state_of,
    table_of,
    trouble_of,
    upstream_of,
)
from gateway.cli.options import own_settings, with_settings
from gateway.maildrop import OnDelete
from gateway.ports import AppPassword, Renewal, StoredAccount


@click.command("list", short_help="All accounts.")
@as_json_option
@with_settings
def list_(as_json: bool, **given: Any) -> None:
    """All accounts, with their passwords' labels."""
    with vault_of(own_settings(**given)) as vault:
        accounts = [] if vault.is_unused else list(vault.all())
    if as_json:
        print_json([as_json_object(known) for known in accounts])
        return
    table = table_of("login", "upstream", "passwords", "last login", "state")
    for known in accounts:
        used = max((password.used for password in known.passwords), default=0.0)
        labels = ", ".join(password.label or password.name for password in known.passwords)
        table.add_row(known.login, upstream_of(known), labels or "none", day(used) or "never", state_of(known))
    console = output()
    console.print(table if accounts else "no accounts yet; `pop3-gateway account add NAME` makes one")
    for known in accounts:
        if trouble_of(known):
            console.print(f"{known.login}: {_state(known)}")


@click.command(short_help="One account, and its passwords.")
@login_argument
@as_json_option
@with_settings
def show(login: str, as_json: bool, **given: Any) -> None:
    """One account and what its passwords are for. No password is shown: none is kept so that it could be."""
    with vault_of(own_settings(**given)) as vault:
        known = found(vault, login)
    if as_json:
        print_json(as_json_object(known))
        return
    console = output()
    opened = filter(
        None, (upstream_of(known), _what(known.folder, known.on_delete), f"since {day(known.created)}")
    )
    console.print(f"{known.login}: {', '.join(opened)}")
    if known.grant is not None:
        how = "signed in" if known.grant.renewal is Renewal.REFRESH else f"opened by {known.grant.renewal.value}"
        console.print(f"{how} since {day(known.grant.since)}: {_state(known)}")
    table = table_of("name", "label", "made", "last login", "expires", "terms")
    for password in known.passwords:
        days = (day(password.created), day(password.used) or "never", last_day(password.expires) or "never")
        table.add_row(password.name, password.label, *days, _terms(password))
    console.print(table if known.passwords else "no passwords: nobody can log in")


def _state(known: StoredAccount) -> str:
    more = "; ".join(part for part in (trouble_of(known), remedy_of(known)) if part)
    return ": ".join(part for part in (state_of(known), more) if part)


def _terms(known: AppPassword) -> str:
    networks = f"from {', '.join(known.networks)}" if known.networks else ""
    read_only = "read-only" if known.read_only else ""
    return ", ".join(filter(None, (read_only, _what(known.folder, known.on_delete), networks)))


def _what(folder: str, on_delete: OnDelete | None) -> str:
    return ", ".join(filter(None, (folder, f"on_delete: {on_delete.value}" if on_delete else "")))
