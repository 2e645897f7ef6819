"""The settings, as data: a test fails on one without a description."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from gateway.config.guesses import Guesses
from gateway.config.listening import Listener, Tls
from gateway.config.oauth import Applications, clients, usable
from gateway.config.routes import MOST_ROUTES, Route, endpoint_of, route_list
from gateway.config.sections import Section
from gateway.config.upstream import Upstream
from gateway.config.values import Count, NameServer, Seconds, SecondsOrNone, Workers, name_server, state_place
from gateway.config.web import Web
from gateway.errors import SettingsError
from gateway.maildrop import Caution, OnDelete, Policy
from gateway.naming import Rule
from gateway.oauth import Client
from gateway.ports import Endpoint, LockMode


class Guard(Section):
    missing_percent: float = Field(
        default=50.0,
        ge=0,
        le=100,
        description="doubt a mailbox that lost more than this part since the last login",
    )
    missing_least: Count = Field(default=20, ge=1, description="and at least so many messages")
    confirm_after: SecondsOrNone = Field(
        default=300.0,
        description="show it all the same when it has looked so for this long; 0: believe everything",
    )

    def caution(self) -> Caution:
        return Caution(self.missing_percent / 100, self.missing_least, self.confirm_after)


class MaildropSettings(Section):
    folder: str = Field(default="INBOX", min_length=1, description="the mailbox that clients see")
    on_delete: OnDelete = Field(
        default=OnDelete.AUTO,
        description="what becomes of deleted messages: expunge removes them; trash and archive move them; "
        "flag only sets \\Deleted and keep leaves them, and both hide them from the client; "
        "auto: trash at Gmail, else expunge",
    )
    trash: str | None = Field(
        default=None,
        description="the folder for on_delete: trash, if the upstream names none; "
        "what is deleted in that folder itself is removed",
    )
    archive: str | None = Field(default=None, description="the folder for on_delete: archive, likewise")
    on_retrieve: str = Field(
        default="seen",
        description="what QUIT sets on messages retrieved and kept: seen, nothing, or keyword NAME",
    )
    lock: LockMode = Field(
        default=LockMode.EXCLUSIVE,
        description="a second session reads [IN-USE] (exclusive), ends the first (takeover), or works beside it",
    )
    max_deletes: Count = Field(
        default=0,
        ge=0,
        description="a QUIT that deletes more than this deletes nothing and gets -ERR; 0: no limit",
    )
    folder_separator: str = Field(
        default="",
        max_length=10,
        description="with /, the name alice/Archive opens the mailbox Archive of alice; none: names are whole",
    )
    guard: Guard = Field(default_factory=Guard, description="when a mailbox that shrank is not shown to clients")

    @field_validator("on_retrieve")
    @classmethod
    def _known(cls, value: str) -> str:
        if not re.fullmatch(r"seen|nothing|keyword [A-Za-z0-9$_.-]+", value):
            raise ValueError(f"{value!r} is not one of seen, nothing, keyword NAME (letters, digits, $ _ . -)")
        return value

    def policy(self) -> Policy:
        retrieved = {"seen": "\\Seen", "nothing": None}
        flag = retrieved.get(self.on_retrieve, self.on_retrieve.removeprefix("keyword "))
        return Policy(self.on_delete, flag, self.trash, self.archive, self.max_deletes)


class AccountSettings(Section):
    pass_through: bool = Field(
        default=True,
        description="a name that has no account here logs in at the upstream, with the password it has there; "
        "without it, clients are offered mechanisms that do not send the password, too",
    )
    readable_passwords: bool = Field(
        default=False,
        description="keep new app passwords encrypted besides hashed, as APOP and CRAM-MD5 need them",
    )
    key_file: Path | None = Field(
        default=None,
        description="the keys that encrypt secrets, one a line, the newest first; default vault.keys in the state "
        "folder, made when it is needed. Without it no account can be used: back it up, apart from the state",
    )
    keys: SecretStr | None = Field(
        default=None, description="the keys themselves instead, with commas between; meant for the environment"
    )


class Limits(Section):
    connections: Count = Field(default=2000, ge=1, description="clients at once")
    connections_per_address: Count = Field(
        default=100, ge=1, description="clients at once from one address (IPv6: one /64)"
    )
    login_attempts: Count = Field(
        default=3,
        ge=1,
        le=100,
        description="failed logins, each slower than the last, then the connection is closed",
    )
    login_delay: SecondsOrNone = Field(
        default=0.0, description="time that must pass between two logins of a user (LOGIN-DELAY); 0: none"
    )
    guesses: Guesses = Field(
        default_factory=Guesses,
        description="wrong passwords; the same one again, from a forgotten device, does not count",
    )


class Timeouts(Section):
    idle: Seconds = Field(
        default=600.0, description="a logged-in client's silence; RFC 1939 wants no less than 10 minutes"
    )
    login: Seconds = Field(default=180.0, description="from the connection to the login")
    stalled: Seconds = Field(default=120.0, description="for a client to take the next part of an answer")
    shutdown: Seconds = Field(default=30.0, description="for sessions in transfer to finish after SIGTERM")


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least to be logged"
    )
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="console for people, json for machines; auto: console on a terminal"
    )


_UPSTREAM = "the IMAP server behind; a URL, or a mapping with url: and options"


class OwnSettings(Section):
    """What is the gateway's own: enough for whoever looks after its state and connects to no upstream."""

    listen: tuple[Listener, ...] = Field(
        default=(Listener(url="pop3://127.0.0.1:1110"),),
        min_length=1,
        description="where POP3 clients connect: one or many; a URL, or a mapping with url: and options",
    )
    tls: Tls = Field(default_factory=Tls, description="TLS towards clients")
    upstream: Upstream | None = Field(default=None, description=_UPSTREAM)
    routes: Annotated[tuple[Route, ...], BeforeValidator(route_list)] = Field(
        default=(),
        max_length=MOST_ROUTES,
        description="names that go elsewhere: tried in this order, and the first that knows the name decides; "
        "a name that fits none goes to upstream",
    )
    resolver: NameServer = Field(
        default="",
        description="the name server that routes ask, like 127.0.0.1 or 127.0.0.1:5353; default the system's",
    )
    maildrop: MaildropSettings = Field(default_factory=MaildropSettings, description="what clients see and cause")
    accounts: AccountSettings = Field(
        default_factory=AccountSettings, description="logins with passwords of their own; see `account add`"
    )
    oauth: Applications = Field(
        default_factory=dict,
        description="providers that give access tokens in the place of passwords, by name: "
        "microsoft365, google and others that are known need only a client_id, any other its endpoints, too. "
        "From the environment one by one, as in POP3_GATEWAY_OAUTH_GOOGLE_CLIENT_SECRET, or as YAML",
    )
    web: Web = Field(
        default_factory=Web,
        description="a page where people sign in with their mail provider, and get an account",
    )
    limits: Limits = Field(
        default_factory=Limits, description="what strangers may use up, at all workers together"
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="how long clients may take")
    log: Log = Field(default_factory=Log, description="one line an event, on standard error")
    workers: Workers = Field(
        default=1,
        description="processes that share the ports, or auto: one for each usable CPU, at most 16; "
        "one serves thousands of mailboxes, and every further one costs memory",
    )
    state: Path | SecretStr | None = Field(
        default=None,
        description="folder for what must survive: deletions that are still to be carried out, what flag and keep "
        "hide, and accounts; or postgresql://user:password@host/database, which gateways on several machines can "
        "share; default /var/lib/pop3-gateway, or ~/.local/state/pop3-gateway where that cannot be written",
    )
    state_folder: Path | None = Field(
        default=None,
        description="with PostgreSQL, the folder for what stays on this machine: the self-signed certificate, the "
        "listings that save time, and vault.keys; default as for state",
    )

    @property
    def folder(self) -> Path | None:
        """Of this machine; None: the usual one."""
        return self.state if isinstance(self.state, Path) else self.state_folder

    @property
    def database(self) -> str | None:
        """The URL of a shared one, with its password."""
        return self.state.get_secret_value() if isinstance(self.state, SecretStr) else None

    @property
    def name_server(self) -> tuple[str, int] | None:
        """For routes; None: the system's."""
        return name_server(self.resolver) if self.resolver else None

    def clients(self) -> dict[str, Client]:
        """Our application at each provider, by its name; without client_id where the settings have none."""
        return clients(self.oauth)

    def client(self, name: str) -> Client:
        """One that can be used to sign in. Raises SettingsError, which says what is missing."""
        return usable(self.clients(), name)

    def elsewhere(self, url: str) -> Endpoint:
        """An account's own upstream. Raises SettingsError."""
        try:
            return endpoint_of(url)
        except ValueError as error:
            raise SettingsError(f"upstream {url}: {error}") from None

    @field_validator("state", mode="plain")
    @classmethod
    def _folder_or_url(cls, value: Any) -> Path | SecretStr:
        return state_place(value)

    @field_validator("listen", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | dict) else value

    @field_validator("listen")
    @classmethod
    def _each_once(cls, value: tuple[Listener, ...]) -> tuple[Listener, ...]:
        seen = [listener.address for listener in value]
        for address in seen:
            if address[1] and seen.count(address) > 1:
                raise ValueError(f"{address[0]}:{address[1]} is listed twice")
        return value

    @field_validator("accounts")
    @classmethod
    def _routes_are_used(cls, value: AccountSettings, info: ValidationInfo) -> AccountSettings:
        if info.data.get("routes") and not value.pass_through:
            raise ValueError(
                "routes are for names that have no account here, and pass_through: false lets none of them in; "
                "leave one of the two out"
            )
        return value

    def rules(self) -> list[Rule]:
        """The routes."""
        return [route.rule(f"routes[{number}]") for number, route in enumerate(self.routes, 1)]


class Settings(OwnSettings):
    """All of them."""

    upstream: Upstream = Field(description=_UPSTREAM)

    def endpoint(self, url: str) -> Endpoint:
        """Of an account's own upstream; "": the usual one. Raises SettingsError."""
        return self.elsewhere(url) if url else self.upstream.endpoint()
