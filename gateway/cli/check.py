"""pop3-gateway check"""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.markup import escape

from gateway.app.gateway import pop3_sites, preload, tls_terms
from gateway.app.names import destination_of, folder_names
from gateway.app.state import look_at_state
from gateway.app.tokens import opened_by
from gateway.cli.options import ask_secret, settings, with_settings
from gateway.cli.providers import signing_in_again
from gateway.cli.sign_in import possible
from gateway.cli.terminal import many
from gateway.config import Settings
from gateway.config.settings import MaildropSettings
from gateway.config.upstream import is_loopback
from gateway.enrolment import takes_people
from gateway.errors import GatewayError, SettingsError, SignInNeeded, UpstreamUnreachable, UpstreamUnusable
from gateway.imap import probe
from gateway.imap.link import NO_TOKENS, Timeouts
from gateway.maildrop import OnDelete
from gateway.oauth import begin
from gateway.ports import AccessTokens, Account, Endpoint, Granted, Renewal, TlsMode
from gateway.sasl import TOKEN_MECHANISMS, Credentials
from gateway.server import certificate
from gateway.server.pair import Pair
from gateway.server.tls import WARN_DAYS, ServerTls, ask_for_certificates

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
@click.option("--account", metavar="LOGIN", help="Log in as this stored account does, too.")
@click.option("--provider", metavar="NAME", help="Look at this provider of tokens, too, and at its mail server.")
def check(
    file: Path | None,
    upstream: str | None,
    listen: tuple[str, ...],
    state: str | None,
    user: str | None,
    account: str | None,
    provider: str | None,
) -> None:
    """Validate the settings, resolve and connect to the upstream, log in, and tell what it can.

    Nothing is changed anywhere, but for the access token that an account's provider may have to give. The exit
    status is 0 when everything is in order.
    """
    chosen = settings(file, upstream, listen, state)
    preload(chosen)  # what `serve` would refuse at its start
    report = Report(Console(highlight=False, soft_wrap=True))
    report.good("settings", f"valid; listening would be on {', '.join(site.url for site in chosen.listen)}")
    _check_listeners(chosen, report)
    _check_certificate(chosen, report)
    if chosen.web.listen:
        _check_page(chosen, report)
    if state := look_at_state(chosen):
        report.good("state", state)
    usual = chosen.upstream.endpoint()
    if user or not (account or provider):
        _check_upstream(usual, chosen, report)
    if user:
        secret = ask_secret(f"Password of {user} at the upstream")
        _check_login(chosen, _account(chosen, Credentials(user, secret), report), report)
    if account:
        _check_account(chosen, account, report)
    if provider:
        _check_provider(chosen, provider, report)
    _check_upstream(usual, chosen, report)  # last: an account or a provider may not need it
    if not user and not account:
        report.console.print(
            "  [dim]with --user NAME or --account LOGIN it also logs in and looks at the mailbox[/dim]"
        )


class Report:
    """Lines of a check: what, and how it is."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.upstreams: set[Endpoint] = set()  # that were looked at

    def good(self, what: str, text: str) -> None:
        self.console.print(f"[green]ok[/green]    {what}: {escape(text)}")

    def note(self, what: str, text: str) -> None:
        self.console.print(f"[yellow]note[/yellow]  {what}: {escape(text)}")


def _check_listeners(chosen: Settings, report: Report) -> None:
    for listener in chosen.listen:
        if listener.allows_old_tls:
            report.note(
                "old TLS", f"{listener.url} takes {listener.min_version}, which others may be able to read"
            )
        if listener.client_ca_file is not None:
            ask_for_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), listener.client_ca_file)
            report.good("client certificates", f"{listener.url} believes {listener.client_ca_file}")
        if listener.proxy_from:
            networks = ", ".join(map(str, listener.proxy_from))
            report.good("proxies", f"{listener.url} takes connections with a PROXY header from {networks}")


def _check_certificate(chosen: Settings, report: Report) -> None:
    tls = chosen.tls
    if tls.certificate is None:
        report.note("certificate", "none given: a self-signed one will be made, and clients will warn")
        return
    ServerTls(Pair(tls.certificate, tls.key), tls_terms(chosen), lambda _: None)
    described = certificate.describe(tls.certificate)
    left = certificate.ends(tls.certificate) - datetime.now(UTC)
    if left < timedelta(0):
        raise SettingsError(f"tls.certificate: {tls.certificate}, {described}, has ended; renew it")
    tell = report.note if left < timedelta(days=WARN_DAYS) else report.good
    tell("certificate", described)


def _check_page(chosen: Settings, report: Report) -> None:
    from gateway.app.page import shown_server  # noqa: PLC0415 - it says what is not installed, and few have a page

    web, url = chosen.web, chosen.web.outside.geturl()
    report.good("enrolment page", f"{url}; where people sign in has to know {url}/callback, as a redirect URI")
    if not any(map(takes_people, chosen.clients().values())):
        report.note("enrolment page", "nobody can sign in: set oauth.NAME.client_id, like oauth.google.client_id")
    host = web.outside.hostname or ""
    if not web.pop3 and not is_loopback(host) and all(is_loopback(site.host) for site in pop3_sites(chosen)):
        told = shown_server(chosen, pop3_sites(chosen), host)
        report.note(
            "enrolment page",
            f"people are told {told.scheme}://{told.host}:{told.port}, and no listener can be reached from other "
            "machines: add one, like pop3s://0.0.0.0:995, or say in web.pop3 what stands before it",
        )


def _check_upstream(endpoint: Endpoint, chosen: Settings, report: Report) -> None:
    """Once."""
    if endpoint in report.upstreams:
        return
    report.upstreams.add(endpoint)
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
        if not _takes_tokens(greeting.capabilities):
            raise UpstreamUnusable(
                f"{endpoint} takes no passwords: LOGINDISABLED, and neither AUTH=PLAIN nor AUTH=LOGIN"
            )
        report.note("passwords", "the upstream takes tokens only, as `account add NAME --provider …` gets them")


def _account(chosen: Settings, claim: Credentials, report: Report) -> Account:
    """What the name opens, without an account here: where the routes lead it, and the folder that it picks."""
    login, folder = folder_names(chosen).split(claim.user)
    found = asyncio.run(destination_of(chosen, Credentials(login, claim.secret)))
    if found.route:
        report.good("route", f"{found.route} leads {login} to {found.endpoint}, as {found.claim.user}")
        _check_upstream(found.endpoint, chosen, report)
    elif chosen.routes:
        report.good("route", f"none is for {login}: it goes to upstream")
    opened = folder or found.folder or chosen.maildrop.folder
    return Account(found.endpoint, found.claim, opened, chosen.maildrop.policy())


def _check_account(chosen: Settings, login: str, report: Report) -> None:
    with opened_by(chosen, login) as (account, tokens):
        _check_upstream(account.endpoint, chosen, report)
        try:
            _check_login(chosen, account, report, tokens)
        except SignInNeeded as error:
            raise SignInNeeded(f"{error}; {signing_in_again(login)}") from error


def _check_provider(chosen: Settings, name: str, report: Report) -> None:
    """As far as it can be seen without signing in."""
    client = chosen.client(name)
    provider = client.provider
    report.good("application", f"at {provider.title}: {client.client_id or client.service_account}")
    if provider.remark:
        report.note("provider", provider.remark)
    if Renewal.REFRESH in provider.renewals:
        begun = begin(client, f"http://{provider.loopback}")  # where it is known by its issuer only, it is asked
        report.good("sign-in", f"at {urlsplit(begun.url).netloc}")
    report.good("ways", "--flow " + ", ".join(flow.value for flow in possible(client)))
    if provider.upstream:
        _check_upstream(chosen.endpoint(provider.upstream), chosen, report)


def _check_login(chosen: Settings, account: Account, report: Report, tokens: AccessTokens = NO_TOKENS) -> None:
    drop = chosen.maildrop
    mailbox = look_at(chosen, account, tokens)
    snapshot = mailbox.snapshot
    how = ", with a token of its provider" if isinstance(account.credentials, Granted) else ""
    report.good("login", f"as {account.credentials.user}{how}")
    size = f"{many(len(snapshot), 'message')}, {many(snapshot.octets, 'octet')}"
    report.good("maildrop", f"{account.folder} has {size}")
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


def look_at(chosen: Settings, account: Account, tokens: AccessTokens = NO_TOKENS) -> probe.Mailbox:
    """Log in, and leave all as it is. Raises GatewayError."""
    try:
        return probe.look(account, _timeouts(chosen), tokens)
    except GatewayError as error:
        raise type(error)(f"login as {account.credentials.user}: {error}") from error


def _folders(drop: MaildropSettings) -> tuple[tuple[str, str | None, OnDelete], ...]:
    """Settings that only one policy needs."""
    return (
        ("maildrop.trash", drop.trash, OnDelete.TRASH),
        ("maildrop.archive", drop.archive, OnDelete.ARCHIVE),
    )


def _takes_passwords(capabilities: frozenset[str]) -> bool:
    return "LOGINDISABLED" not in capabilities or not capabilities.isdisjoint({"AUTH=PLAIN", "AUTH=LOGIN"})


def _takes_tokens(capabilities: frozenset[str]) -> bool:
    return not capabilities.isdisjoint({f"AUTH={mechanism}" for mechanism in TOKEN_MECHANISMS})


def _timeouts(chosen: Settings) -> Timeouts:
    patience = chosen.upstream.timeouts
    return Timeouts(patience.connect, patience.response, patience.open)
