"""Options that several commands share, and the settings they lead to."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli.terminal import has_browser
from gateway.config import CLIENT_SECRET_VARIABLE, OwnSettings, Settings, load, load_own, urls_in
from gateway.errors import SettingsError
from gateway.sasl import Secret

_F = TypeVar("_F", bound=Callable[..., Any])

_SHARED = (
    click.option(
        "-c",
        "--config",
        "file",
        type=click.Path(path_type=Path, readable=False),  # whoever reads it says what is wrong with it
        help="The settings file (YAML). `pop3-gateway config` prints one. [POP3_GATEWAY_CONFIG]",
    ),
    click.option(
        "--upstream", metavar="URL", help="The IMAP server, e.g. imaps://imap.example.com [POP3_GATEWAY_UPSTREAM]"
    ),
    click.option(
        "--listen",
        metavar="URL",
        multiple=True,
        help="Where clients connect, e.g. pop3://127.0.0.1:1110; may be repeated, or several in one. "
        "[POP3_GATEWAY_LISTEN]",
    ),
    click.option(
        "--state",
        metavar="FOLDER|URL",
        help="The folder for what must survive, or postgresql://user@host/database. [POP3_GATEWAY_STATE]",
    ),
)


def with_settings(command: _F) -> _F:
    """Adds the options; the command gets them as keyword arguments for settings() or own_settings()."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def settings(file: Path | None, upstream: str | None, listen: tuple[str, ...], state: str | None) -> Settings:
    """File, then environment, then options: the later wins. Raises SettingsError."""
    return load(file, os.environ, _options(upstream, listen, state))


def own_settings(
    file: Path | None, upstream: str | None, listen: tuple[str, ...], state: str | None
) -> OwnSettings:
    """The same for a command that connects to no upstream: none need be given."""
    return load_own(file, os.environ, _options(upstream, listen, state))


def _options(upstream: str | None, listen: tuple[str, ...], state: str | None) -> dict[tuple[str, ...], Any]:
    given: dict[tuple[str, ...], Any] = {
        ("upstream",): upstream,
        ("listen",): [url for text in listen for url in urls_in(text)],
        ("state",): state,
    }
    return {where: value for where, value in given.items() if value}


def ask_secret(what: str, otherwise: str = "") -> Secret:
    """From the terminal, hidden; or the first line of standard input, for scripts.

    Raises SettingsError, which says what can be done `otherwise`.
    """
    if not sys.stdin.isatty():
        try:
            secret = sys.stdin.readline().removesuffix("\n")
            secret.encode()
        except UnicodeError:
            raise SettingsError("the password on standard input is no text in UTF-8") from None
        if not secret:
            raise SettingsError(
                f"no password: give it at the terminal, or as the first line of standard input{otherwise}"
            )
        return Secret(secret)
    return Secret(click.prompt(what, hide_input=True, err=True))


def client_secret() -> Secret | None:
    """Of an application that the command line names: from the environment, or asked for. None: it has none."""
    given = os.environ.get(CLIENT_SECRET_VARIABLE, "")
    if not given and sys.stdin.isatty():
        prompt = "Client secret (Enter: it has none)"
        given = click.prompt(prompt, hide_input=True, default="", show_default=False, err=True)
    return Secret(given) if given else None


def browser_at_hand() -> bool:
    return has_browser(os.environ)
