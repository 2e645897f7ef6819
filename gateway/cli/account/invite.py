"""account invite."""

from typing import Any

import click

from gateway.accounts import made
from gateway.app.invitations import invitation_link
from gateway.cli.account.shared import POLICIES, as_json_option, label_option, login_argument
from gateway.cli.account.shown import day, moment, print_json
from gateway.cli.options import own_settings, with_settings
from gateway.cli.terminal import say
from gateway.enrolment import Order


@click.command(short_help="A link by which somebody signs in, in a browser of his own.")
@login_argument
@click.option("--provider", metavar="NAME", default="", help="Who has the mailbox; default: the person chooses.")
@click.option("--user", metavar="NAME", default="", help="The name at the upstream, if it is another than LOGIN.")
@click.option("--server", metavar="URL", default="", help="Its upstream, if it is not the provider's.")
@click.option("--folder", metavar="NAME", default="", help="The mailbox that clients see, if not maildrop.folder.")
@click.option("--on-delete", type=POLICIES, help="What becomes of deleted messages, if not maildrop.on_delete.")
@click.option("--read-only", is_flag=True, help="The app password: DELE is believed, and the mailbox keeps all.")
@click.option(
    "--expires", metavar="DAY", default="", help="The link's last day, like 2027-01-31 (UTC); else a week."
)
@label_option
@as_json_option
@with_settings
def invite(
    login: str,
    provider: str,
    user: str,
    server: str,
    folder: str,
    on_delete: str | None,
    read_only: bool,
    expires: str,
    label: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Make a link to the enrolment page (`web:` in the settings), for the owner of the mailbox LOGIN.

    Who opens it signs in with the provider, and is shown an app password: of a new account, or of one that has to
    be signed in again. It is good once, for whoever has it.
    """
    order = Order(login, provider, user, server, folder, on_delete or "", label, read_only)
    invitation, link = invitation_link(own_settings(**given), order, made.expires_at(expires))
    if as_json:
        told = {"login": login, "name": invitation.name, "until": moment(invitation.expires), "link": link}
        print_json(told)
        return
    say(f"For the owner of {login}, good once and until {day(invitation.expires)} UTC:")
    click.echo(link)
    say(f"`pop3-gateway account uninvite {invitation.name}` withdraws it")
