"""At which provider an account's owner signs in, as which application, and in what way."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, TypeVar

import click

from gateway.cli.options import browser_at_hand, client_secret
from gateway.cli.sign_in import PATIENCE_SECONDS, Flow, Way, usual
from gateway.cli.terminal import say
from gateway.config import Settings
from gateway.errors import LookupFailed, SettingsError
from gateway.oauth import PROVIDERS, Client, Provider, guess
from gateway.ports import Grant, Registration, Renewal

_F = TypeVar("_F", bound=Callable[..., Any])

MOST_PATIENCE_SECONDS = 86_400.0
_GUIDES = {"microsoft365": "docs/microsoft365.md", "google": "docs/google.md"}


@dataclass(frozen=True, slots=True)
class SignInOptions:
    """What the command line says of it."""

    provider: str
    flow: str | None
    client_id: str
    signs_in: str
    redirect_uri: str
    no_browser: bool
    patience: float

    @property
    def are_none(self) -> bool:
        """Nothing was said that only makes sense with a provider."""
        return not (self.provider or self.flow or self.client_id or self.signs_in or self.redirect_uri)


_OPTIONS = (
    click.option(
        "--provider", metavar="NAME", default="", help="Who has the mailbox; default: by its domain's MX."
    ),
    click.option("--flow", type=click.Choice([flow.value for flow in Flow]), help="How it is signed in there."),
    click.option(
        "--client-id", metavar="ID", default="", help="Our application there, if not that of the settings."
    ),
    click.option("--as", "signs_in", metavar="NAME", default="", help="Who signs in, for a shared mailbox."),
    click.option(
        "--redirect-uri", metavar="URL", default="", help="As registered, if the port is not ours to choose."
    ),
    click.option("--no-browser", is_flag=True, help="Show the address of the page instead of opening it."),
    click.option(
        "--patience",
        metavar="SECONDS",
        type=click.FloatRange(1, MOST_PATIENCE_SECONDS),
        default=PATIENCE_SECONDS,
        help=f"How long a sign-in may take, if not {PATIENCE_SECONDS:.0f}.",
    ),
)


def with_sign_in(command: _F) -> _F:
    """Adds the options; the command gets them as `wishes`."""

    @wraps(command)
    def packed(**given: Any) -> Any:
        wishes = SignInOptions(**{field.name: given.pop(field.name) for field in fields(SignInOptions)})
        return command(wishes=wishes, **given)

    for option in reversed(_OPTIONS):
        packed = option(packed)
    return packed  # type: ignore[return-value]


def named(chosen: Settings, name: str) -> Client:
    """With an application or without. Raises SettingsError."""
    client = chosen.clients().get(name) or chosen.client(name)
    if name in PROVIDERS and not client.provider.scopes:
        raise SettingsError(f"oauth.{name}.scopes is needed: {client.provider.title} documents none for IMAP")
    return client


def guessed(chosen: Settings, address: str) -> Client | None:
    """Whoever has the mail of this address; None: nobody known, or nobody who could tell."""
    domain = address.rpartition("@")[2] if "@" in address else ""
    try:
        provider = guess(domain, chosen.name_server) if domain else None
    except LookupFailed as error:
        say(f"where {domain} has its mail cannot be looked up now ({error}); --provider NAME says it")
        return None
    return chosen.clients().get(provider.name) if provider else None


def registered(
    chosen: Settings, client: Client, wishes: SignInOptions, last: Grant | None = None
) -> tuple[Client, Registration]:
    """As the application of the command line, or the one of last time, or of the settings, or one asked for.

    Raises SettingsError.
    """
    if wishes.client_id:
        registration = Registration(wishes.client_id, client_secret())
    elif last and last.provider == client.provider.name and last.registration.client_id:
        registration = last.registration
    elif client.client_id or client.service_account or not sys.stdin.isatty():
        return _of_settings(chosen, client.provider.name), Registration()
    else:
        registration = _asked(client.provider)
    return client.registered(registration), registration


def _of_settings(chosen: Settings, name: str) -> Client:
    try:
        return chosen.client(name)
    except SettingsError as error:
        raise SettingsError(f"{error}, or give it with --client-id ID") from None


def _asked(provider: Provider) -> Registration:
    where = f" at {provider.registered_at}" if provider.registered_at else ""
    say(
        f"The settings have no application of yours at {provider.title} (oauth.{provider.name}.client_id). "
        f"Register one{where}; {guide(provider.name)} shows how."
    )
    return Registration(click.prompt("Client ID", err=True).strip(), client_secret())


def way(client: Client, user: str, wishes: SignInOptions, last: Grant | None = None) -> tuple[Flow, Way]:
    """`last`: what is there already; a mailbox that nobody had to sign in for is opened so again."""
    has_browser = browser_at_hand() and sys.stdin.isatty() and not wishes.no_browser
    how = Way(wishes.signs_in or user, wishes.redirect_uri, has_browser, wishes.patience)
    if wishes.flow:
        return Flow(wishes.flow), how
    if last and last.provider == client.provider.name and last.renewal is not Renewal.REFRESH:
        return Flow.of(last.renewal), how
    # Whoever names what only one flow has wants that one.
    wants_page = wishes.no_browser or bool(wishes.redirect_uri)
    return usual(client, has_browser=has_browser or wants_page), how


def signing_in_again(login: str) -> str:
    """What to type."""
    return f"type `pop3-gateway account authorize {login}`"


def guide(provider: str) -> str:
    return _GUIDES.get(provider, "docs/oauth.md")
