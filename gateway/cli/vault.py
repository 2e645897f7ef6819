"""pop3-gateway vault: the keys that encrypt the accounts."""

from typing import Any

import click

from gateway.app.state import rotate_keys
from gateway.cli.options import own_settings, with_settings
from gateway.cli.terminal import counted, many, say


@click.group(short_help="The keys that encrypt the accounts: rotate.")
def vault() -> None:
    """Where accounts are kept: their upstream passwords encrypted, their app passwords hashed."""


@vault.command(short_help="Make a new key, and encrypt everything with it.")
@with_settings
def rotate(**given: Any) -> None:
    """Put a new key before those in the key file, and encrypt everything with it.

    The old keys stay in the file: an older backup needs them. With accounts.keys given, put the new key first
    there, and call this.
    """
    count = 0
    with counted("secrets") as progress:
        under_way = progress.add_task("rotate", total=None)
        for done in rotate_keys(own_settings(**given)):
            progress.advance(under_way, done)
            count += done
    say(f"encrypted with the first key: {many(count, 'secret')}; back the key file up")
