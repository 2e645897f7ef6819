"""pop3-gateway health"""

import poplib
import socket
import ssl
from pathlib import Path

import click

from gateway.cli.options import own_settings, with_settings
from gateway.config import Listener
from gateway.errors import UpstreamUnreachable
from gateway.server.proxy import LOCAL

HEALTH_SECONDS = 5.0


@click.command(short_help="Ask the running gateway whether it answers.")
@with_settings
def health(file: Path | None, upstream: str | None, listen: tuple[str, ...], state: str | None) -> None:
    """Ask the running gateway: exit status 0 when it answers POP3 on each of its listeners."""
    for listener in own_settings(file, upstream, listen, state).listen:
        ask(listener)
        click.echo(f"{listener.url}: answers")


def ask(listener: Listener) -> None:
    """Greeting, CAPA, QUIT. Raises UpstreamUnreachable."""
    host, port = listener.address
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    try:
        with socket.create_connection((local, port), HEALTH_SECONDS) as sock:
            if listener.proxy_from:
                sock.sendall(LOCAL)
            client = _Client(_secured(sock) if listener.implicit_tls else sock)
            try:
                client.capa()
                client.quit()
            finally:
                client.close()
    except poplib.error_proto as error:
        if b"[SYS/TEMP]" not in error.args[0]:  # "too many connections" is an answer, too
            raise UpstreamUnreachable(f"{listener.url} does not answer: {error}") from error
    except (OSError, EOFError) as error:
        raise UpstreamUnreachable(f"{listener.url} does not answer: {error}") from error


class _Client(poplib.POP3):
    """On a connection that stands already."""

    def __init__(self, sock: socket.socket) -> None:
        self._given = sock
        super().__init__("", timeout=HEALTH_SECONDS)

    def _create_socket(self, timeout: float) -> socket.socket:  # noqa: ARG002 - poplib's own
        return self._given


def _secured(sock: socket.socket) -> ssl.SSLSocket:
    # Whether it lives is the question, not who signed its certificate: no secret is sent.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock)
