"""pop3-gateway config"""

import click

from gateway.config import reference


@click.command()
def config() -> None:
    """Print the annotated reference of every setting: a gateway.yaml to begin with."""
    click.echo(reference.as_yaml(), nl=False)
