"""account invitations and uninvite."""

import time
from typing import Any

import click

from gateway.app.invitations import invitations_of
from gateway.cli.account.shared import as_json_option
from gateway.cli.account.shown import day, moment, output, print_json, table_of
from gateway.cli.options import own_settings, with_settings
from gateway.cli.terminal import say
from gateway.errors import InvitationVoid


@click.command(short_help="The links that are good still.")
@as_json_option
@with_settings
def invitations(as_json: bool, **given: Any) -> None:
    """The invitations that are good still. No link is shown: none is kept so that it could be."""
    with invitations_of(own_settings(**given)) as kept:
        known = list(kept.all(time.time()))
    if as_json:
        print_json(
            [
                {"name": one.name, "login": one.login, "provider": one.provider, "until": moment(one.expires)}
                for one in known
            ]
        )
        return
    table = table_of("name", "login", "provider", "until")
    for one in known:
        table.add_row(one.name, one.login, one.provider or "the person chooses", day(one.expires))
    output().print(table if known else "no invitations; `pop3-gateway account invite NAME` makes one")


@click.command(short_help="Withdraw an invitation.")
@click.argument("name")
@with_settings
def uninvite(name: str, **given: Any) -> None:
    """Withdraw the invitation NAME; `account invitations` lists the names. An account that came of it stays."""
    with invitations_of(own_settings(**given)) as kept:
        if not kept.withdraw(name):
            raise InvitationVoid(f"there is no invitation {name}; `account invitations` tells which there are")
    say(f"the invitation {name} is withdrawn; its link opens nothing any more")
