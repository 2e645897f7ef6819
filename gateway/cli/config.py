"""pop3-gateway config"""

import click

from gateway.config import reference


@click.command(short_help="Print every setting, described.")
def config() -> None:
    """Print the annotated reference of every setting: a gateway.yaml to begin with."""
    click.echo(reference.as_yaml(), nl=False)
