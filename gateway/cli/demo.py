"""pop3-gateway demo"""

import tempfile
from collections.abc import Callable

import click
from rich.console import Console

from gateway.app.gateway import Gateway
from gateway.cli.run import leave, run, serve_until_stopped
from gateway.cli.sample_server import HOST, sample_server
from gateway.config import load
from gateway.errors import CannotListen, SettingsError
from gateway.telemetry import Event, Log
from gateway.telemetry.events import CertificateMade

USER = PASSWORD = "demo"  # noqa: S105 - of a mailbox with sample messages, on loopback
DEFAULT_PORT = 1110


@click.command(short_help="Try it with a sample mailbox.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="POP3 port; 0: any."
)
def demo(port: int) -> None:
    """Try it: an IMAP server with a sample mailbox, and the gateway before it on 127.0.0.1."""
    with tempfile.TemporaryDirectory(prefix="pop3-gateway-demo-") as state:
        try:
            run(lambda: _demo(port, state))
        except ImportError as error:
            raise SettingsError(str(error)) from None
        except CannotListen as error:
            raise CannotListen(f"{error} (make demo PORT=2110, or --port 2110)") from None
    leave()


async def _demo(port: int, state: str) -> None:
    async with sample_server(USER, PASSWORD) as imap_port:
        settings = load(
            None,
            {},
            {
                ("upstream",): f"imap://{HOST}:{imap_port}?tls=none",
                ("listen",): f"pop3://{HOST}:{port}",
                ("state",): state,
            },
        )
        await serve_until_stopped(settings, _quietly(Log("info", "console").emit), _tell)


def _tell(gateway: Gateway) -> None:
    port = gateway.sites[0].port
    site = f"pop3://{USER}:{PASSWORD}@{HOST}:{port}"
    Console(highlight=False, soft_wrap=True).print(
        "\n[bold]A mailbox with sample messages is ready.[/bold] In another terminal, type:\n\n"
        f"  curl {site}/      [dim]# the list[/dim]\n"
        f"  curl {site}/1     [dim]# the first message[/dim]\n\n"
        "or set up a mail program (Thunderbird: Account Settings, Account Actions, Add Mail Account):\n\n"
        f"  incoming server  POP3, {HOST}, port {port}\n"
        "  security         none; normal password (it stays on this machine)\n"
        f"  user, password   {USER}, {PASSWORD}\n\n"
        "Ctrl-C ends both servers; the mailbox is forgotten then.\n"
    )


def _quietly(emit: Callable[[Event], None]) -> Callable[[Event], None]:
    """Nobody connects to the demo with TLS: a warning about its certificate would only frighten."""
    return lambda event: None if isinstance(event, CertificateMade) else emit(event)
