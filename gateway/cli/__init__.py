"""The command line: one file a command; parse, then call the app."""

import sys

import click

from gateway import __version__
from gateway.cli.check import check
from gateway.cli.config import config
from gateway.cli.demo import demo
from gateway.cli.health import health
from gateway.cli.serve import serve
from gateway.errors import GatewayError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pop3-gateway")
def commands() -> None:
    """A POP3 server whose maildrop is a mailbox on a remote IMAP server.

    The exit status is 0: done; 1: not possible now, another time it may be; 2: the call, a setting, or what a
    setting names is wrong, and only you can mend it.
    """


for command in (serve, check, demo, config, health):
    commands.add_command(command)


def main() -> None:
    """RFC 3206 draws the line between 1 and 2: a service manager need not try again what is SYS/PERM."""
    try:
        commands(prog_name="pop3-gateway")
    except GatewayError as error:
        click.echo(f"pop3-gateway: {error}", err=True)
        sys.exit(2 if error.code == "SYS/PERM" else 1)
