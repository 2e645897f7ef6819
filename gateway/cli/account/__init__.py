"""pop3-gateway account: logins with passwords of their own. One file a concern."""

import click

from gateway.cli.account.add import add
from gateway.cli.account.authorize import authorize
from gateway.cli.account.bulk import export, import_
from gateway.cli.account.change import change, remove, upstream_password
from gateway.cli.account.invitations import invitations, uninvite
from gateway.cli.account.invite import invite
from gateway.cli.account.look import list_, show
from gateway.cli.account.passwords import password


@click.group(short_help="Give devices passwords of their own: add, authorize, invite, list, show, remove …")
def account() -> None:
    """Logins with passwords of their own: the password of the mailbox stays here, encrypted."""


for command in (
    *(add, authorize, list_, show, change, remove, upstream_password, password),
    *(invite, invitations, uninvite, export, import_),
):
    account.add_command(command)
