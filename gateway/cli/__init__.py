"""The command line: one file a command; parse, then call the app."""

import sys
from importlib import import_module

import click
from click.exceptions import NoSuchCommand

from gateway import __version__
from gateway.errors import GatewayError, KeysUnusable

# Where each is: a health check every half minute is not to load a server.
COMMANDS = {
    "serve": "serve:serve",
    "check": "check:check",
    "account": "account:account",
    "vault": "vault:vault",
    "demo": "demo:demo",
    "config": "config:config",
    "health": "health:health",
}


class Commands(click.Group):
    """Loads a command when it is called, or when help is wanted of all."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(f"gateway.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:  # which looks for one that is like it among those that are loaded
            raise NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pop3-gateway")
def commands() -> None:
    """A POP3 server whose maildrop is a mailbox on a remote IMAP server.

    The exit status is 0: done; 1: not possible now, another time it may be; 2: the call, a setting, or what a
    setting names is wrong, and only you can mend it.
    """


def main() -> None:
    """RFC 3206 draws the line between 1 and 2: a service manager need not try again what is SYS/PERM."""
    try:
        commands(prog_name="pop3-gateway")
    except GatewayError as error:
        click.echo(f"pop3-gateway: {error}", err=True)
        # A client may try again where keys are not the right ones, because that is no fault of its mailbox.
        sys.exit(2 if error.code == "SYS/PERM" or isinstance(error, KeysUnusable) else 1)
