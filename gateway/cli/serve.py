"""pop3-gateway serve"""

from pathlib import Path

import click

from gateway.cli import run
from gateway.cli.options import settings, with_settings


@click.command(short_help="Serve POP3.")
@with_settings
def serve(file: Path | None, upstream: str | None, listen: tuple[str, ...], state: str | None) -> None:
    """Serve POP3 until SIGTERM or Ctrl-C. SIGHUP reads the certificate anew at once, and ends nothing.

    Settings come from the file, then the environment (POP3_GATEWAY_…), then these options; the later wins.
    """
    run.serve(settings(file, upstream, listen, state))
    run.leave()
