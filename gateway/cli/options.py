"""Options that several commands share, and the settings they lead to."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.config import Settings, load

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
        help="Where clients connect, e.g. pop3://127.0.0.1:1110; may be repeated. [POP3_GATEWAY_LISTEN]",
    ),
    click.option(
        "--state",
        metavar="FOLDER",
        help="The folder for locks, promises and the self-made certificate. [POP3_GATEWAY_STATE]",
    ),
)


def with_settings(command: _F) -> _F:
    """Adds the options; the command gets them as keyword arguments for settings()."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def settings(file: Path | None, upstream: str | None, listen: tuple[str, ...], state: str | None) -> Settings:
    """File, then environment, then options: the later wins. Raises SettingsError."""
    given: dict[tuple[str, ...], Any] = {
        ("upstream",): upstream,
        ("listen",): list(listen),
        ("state",): state,
    }
    return load(file, os.environ, {where: value for where, value in given.items() if value})
