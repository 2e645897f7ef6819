"""pop3-gateway serve"""

from pathlib import Path

import click

from gateway.cli.options import settings, with_settings
from gateway.cli.run import leave, run, serve_until_stopped
from gateway.telemetry import Log


@click.command(short_help="Serve POP3.")
@with_settings
def serve(file: Path | None, upstream: str | None, listen: tuple[str, ...], state: str | None) -> None:
    """Serve POP3 until SIGTERM or Ctrl-C.

    Settings come from the file, then the environment (POP3_GATEWAY_…), then these options; the later wins.
    """
    chosen = settings(file, upstream, listen, state)
    log = Log(chosen.log.level, chosen.log.format)
    run(lambda: serve_until_stopped(chosen, log.emit, lambda _: None))
    leave()
