"""pop3-gateway check"""

import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from gateway.cli.options import settings, with_settings
from gateway.config import Settings
from gateway.config.settings import MaildropSettings
from gateway.errors import GatewayError, SettingsError, UpstreamUnreachable, UpstreamUnusable
from gateway.imap import probe
from gateway.imap.link import Timeouts
from gateway.maildrop import OnDelete
from gateway.ports import Account, TlsMode
from gateway.sasl import Credentials, Secret
from gateway.server import certificate
from gateway.server.pair import Pair
from gateway.server.tls import WARN_DAYS, ServerTls

_FATES = {
    OnDelete.EXPUNGE: "are removed",
    OnDelete.TRASH: "are moved to {folder}",
    OnDelete.ARCHIVE: "are moved to {folder}",
    OnDelete.FLAG: "are flagged \\Deleted, and hidden from the client",
    OnDelete.KEEP: "stay, and are hidden from the client",
}

# What a capability of the upstream means to the gateway's users: with it, and without it.
_MEANINGS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("UIDPLUS", "IMAP4REV2"),
        "expunging takes just what was asked for",
        "expunging is possible only while no other message is flagged \\Deleted",
    ),
    (("SASL-IR",), "logging in takes one round trip", "some logins take one round trip more"),
    (("LITERAL+", "LITERAL-"), "odd names and passwords cost no round trip", "odd names and passwords cost two"),
)


@click.command(short_help="Look whether settings, upstream and password are right.")
@with_settings
@click.option("--user", metavar="NAME", help="Log in as this user, too; the password is asked for.")
def check(
    file: Path | None, upstream: str | None, listen: tuple[str, ...], state: str | None, user: str | None
) -> None:
    """Validate the settings, resolve and connect to the upstream, log in, and tell what it can.

    Nothing is changed anywhere. The exit status is 0 when everything is in order.
    """
    chosen = settings(file, upstream, listen, state)
    report = Report(Console(highlight=False, soft_wrap=True))
    report.good("settings", f"valid; listening would be on {', '.join(site.url for site in chosen.listen)}")
    _check_certificate(chosen, report)
    _check_upstream(chosen, report)
    if user:
        _check_login(chosen, Credentials(user, _ask_password(user)), report)
    else:
        report.console.print("  [dim]with --user NAME it also logs in and looks at the mailbox[/dim]")


class Report:
    """Lines of a check: what, and how it is."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def good(self, what: str, text: str) -> None:
        self.console.print(f"[green]ok[/green]    {what}: {escape(text)}")

    def note(self, what: str, text: str) -> None:
        self.console.print(f"[yellow]note[/yellow]  {what}: {escape(text)}")


def _check_certificate(chosen: Settings, report: Report) -> None:
    tls = chosen.tls
    if tls.certificate is None:
        report.note("certificate", "none given: a self-signed one will be made, and clients will warn")
        return
    ServerTls(Pair(tls.certificate, tls.key), tls.min_version, lambda _: None)
    described = certificate.describe(tls.certificate)
    left = certificate.ends(tls.certificate) - datetime.now(UTC)
    if left < timedelta(0):
        raise SettingsError(f"tls.certificate: {tls.certificate}, {described}, has ended; renew it")
    tell = report.note if left < timedelta(days=WARN_DAYS) else report.good
    tell("certificate", described)


def _check_upstream(chosen: Settings, report: Report) -> None:
    endpoint = chosen.upstream.endpoint()
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "that is no host name"
        raise UpstreamUnreachable(f"{endpoint.host} cannot be resolved: {why}") from error
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    report.good("name", f"{endpoint.host} is {', '.join(addresses)}")
    greeting = probe.greet(endpoint, _timeouts(chosen))
    report.good("connection", f"{endpoint}, {greeting.protection}")
    report.good("greeting", greeting.text)
    if endpoint.tls is TlsMode.NONE:
        report.note("privacy", "passwords and mail go to the upstream in clear")
    if not _takes_passwords(greeting.capabilities):
        raise UpstreamUnusable(f"{endpoint} takes no passwords: LOGINDISABLED, and no AUTH=PLAIN")


def _check_login(chosen: Settings, credentials: Credentials, report: Report) -> None:
    drop = chosen.maildrop
    account = Account(chosen.upstream.endpoint(), credentials, drop.folder, drop.policy())
    try:
        mailbox = probe.look(account, _timeouts(chosen))
    except GatewayError as error:
        raise type(error)(f"login as {credentials.user}: {error}") from error
    snapshot = mailbox.snapshot
    report.good("login", f"as {credentials.user}")
    report.good("maildrop", f"{drop.folder} has {len(snapshot)} messages, {snapshot.octets} octets")
    if snapshot.read_only:
        report.note("maildrop", "the upstream lets us only read: DELE will be refused")
    fate = _FATES[mailbox.on_delete].format(folder=mailbox.folder)
    report.good("on_delete", f"{drop.on_delete.value}: deleted messages {fate}")
    for setting, folder, used_by in _folders(drop):
        if folder and mailbox.on_delete is not used_by:
            report.note(
                setting, f"{folder} is not used; on_delete: {used_by.value} would move deleted messages there"
            )
    if not mailbox.folder_exists:
        raise UpstreamUnusable(f"there is no folder {mailbox.folder}: make it, or name another in the settings")
    for names, having, lacking in _MEANINGS:
        present = [name for name in names if name in mailbox.capabilities]
        if present:
            report.good(present[0], having)
        else:
            report.note(f"no {names[0]}", lacking)


def _folders(drop: MaildropSettings) -> tuple[tuple[str, str | None, OnDelete], ...]:
    """Settings that only one policy needs."""
    return (
        ("maildrop.trash", drop.trash, OnDelete.TRASH),
        ("maildrop.archive", drop.archive, OnDelete.ARCHIVE),
    )


def _ask_password(user: str) -> Secret:
    """From the terminal, hidden; or the first line of standard input, for scripts."""
    if not sys.stdin.isatty():
        password = sys.stdin.readline().removesuffix("\n")
        if not password:
            raise SettingsError("no password: give it at the terminal, or as the first line of standard input")
        return Secret(password)
    return Secret(click.prompt(f"Password of {user} at the upstream", hide_input=True, err=True))


def _takes_passwords(capabilities: frozenset[str]) -> bool:
    return "LOGINDISABLED" not in capabilities or "AUTH=PLAIN" in capabilities


def _timeouts(chosen: Settings) -> Timeouts:
    patience = chosen.upstream.timeouts
    return Timeouts(patience.connect, patience.response, patience.open)
