"""The settings, as data: a test fails on one without a description."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from gateway.config import urls
from gateway.config.values import Count, Seconds, SecondsOrNone, Workers
from gateway.maildrop import Caution, OnDelete, Policy
from gateway.ports import Endpoint, LockMode, TlsMode


class Section(BaseModel):
    """A mapping in the file. `shorthand` names the key that a plain string there stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    shorthand: ClassVar[str] = ""


class _Addressed(Section):
    """A section that a URL stands for; the URL's query holds its other keys."""

    shorthand: ClassVar[str] = "url"
    ports: ClassVar[dict[str, int]]
    example: ClassVar[str]
    in_query: ClassVar[frozenset[str]]

    url: str = Field(description="scheme://host:port")

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"url": value}
        if isinstance(value, dict) and isinstance(value.get("url"), str):
            try:
                options = urls.parse(value["url"], cls.ports, cls.example).options
            except ValueError:
                return value  # the URL's own check says what is wrong
            for key, said in options.items():
                if key in cls.in_query and key in value and str(value[key]).lower() != said.lower():
                    raise ValueError(f"{key} is {said} in the URL and {value[key]} beside it; say it once")
            return dict(options) | value
        return value

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        for key in urls.parse(value, cls.ports, cls.example).options:
            if key in cls.model_fields and key not in cls.in_query:  # what is no setting at all is told as such
                raise ValueError(f"{key!r} cannot stand in the URL; write a mapping with url: and {key}:")
        return value

    def place(self) -> urls.Place:
        return urls.parse(self.url, self.ports, self.example)


class Listener(_Addressed):
    ports: ClassVar[dict[str, int]] = {"pop3": 110, "pop3s": 995}
    example: ClassVar[str] = "pop3://0.0.0.0:110 or pop3s://0.0.0.0:995"
    in_query: ClassVar[frozenset[str]] = frozenset({"allow_plaintext"})

    url: str = Field(
        description="pop3://address:port (STLS offered) or pop3s://address:port (TLS at once); port 0: any free"
    )
    allow_plaintext: bool = Field(
        default=False,
        description="take passwords without TLS from everywhere; without it only from clients on loopback, "
        "which behind a proxy or relay on this machine everybody is",
    )

    @property
    def implicit_tls(self) -> bool:
        return self.place().scheme == "pop3s"

    @property
    def address(self) -> tuple[str, int]:
        place = self.place()
        return place.host, place.port


class Tls(Section):
    certificate: Path | None = Field(
        default=None,
        description="PEM file with the certificate and its chain; without one a self-signed one is made",
    )
    key: Path | None = Field(default=None, description="PEM file with its private key, if not in the same file")
    min_version: Literal["TLSv1.2", "TLSv1.3"] = Field(
        default="TLSv1.2", description="the oldest TLS that clients may speak"
    )

    @model_validator(mode="after")
    def _key_needs_certificate(self) -> Self:
        if self.key and not self.certificate:
            raise ValueError("there is a key without a certificate; set tls.certificate too")
        return self


class UpstreamTimeouts(Section):
    connect: Seconds = Field(default=10.0, description="until TCP and TLS stand, and again for the greeting")
    response: Seconds = Field(default=60.0, description="for the answer to a command, or a message's next block")
    open: Seconds = Field(
        default=80.0, description="for a whole login, up to the snapshot; mail programs give up after about 110 s"
    )


class Warm(Section):
    connections: Count = Field(
        default=200,
        ge=0,
        description="logged-in connections that a worker keeps for their users' next logins; 0: none",
    )
    per_account: Count = Field(
        default=1,
        ge=1,
        description="of them for one user, whose other programs count, too: Dovecot allows 10, Gmail 15",
    )
    idle: Seconds = Field(default=720.0, description="how long one is kept; clients poll every ten minutes or so")
    age: Seconds = Field(
        default=1800.0,
        description="and how long after its login: a password that was changed upstream may be taken so long",
    )


class Upstream(_Addressed):
    ports: ClassVar[dict[str, int]] = {"imaps": 993, "imap": 143}
    example: ClassVar[str] = "imaps://imap.example.com or imap://imap.example.com (STARTTLS)"
    in_query: ClassVar[frozenset[str]] = frozenset({"tls", "allow_plaintext", "ca_file"})

    url: str = Field(
        description="imaps://host, or imap://host (STARTTLS demanded), or imap://127.0.0.1?tls=none (loopback)"
    )
    tls: Literal["required", "none"] = Field(
        default="required", description="none: in clear, to a loopback address"
    )
    allow_plaintext: bool = Field(
        default=False, description="with tls none: send passwords in clear to a host that is not loopback"
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of authorities to trust instead of the system's, for a private CA"
    )
    timeouts: UpstreamTimeouts = Field(default_factory=UpstreamTimeouts, description="how long to wait for it")
    warm: Warm = Field(
        default_factory=Warm, description="connections that save the next login; each worker has its own"
    )

    @model_validator(mode="after")
    def _no_password_in_clear(self) -> Self:
        place = self.place()
        if place.port == 0:
            raise ValueError("port 0 is nobody's; leave it out for the usual one")
        if self.tls == "none":
            if place.scheme == "imaps":
                raise ValueError("imaps:// and tls none contradict each other; write imap://")
            if not self.allow_plaintext and not _is_loopback(place.host):
                raise ValueError(
                    f"passwords would go to {place.host} in clear; drop tls=none (imap:// uses STARTTLS), "
                    "or say allow_plaintext: true if the way there is private"
                )
        return self

    def endpoint(self) -> Endpoint:
        place = self.place()
        mode = TlsMode.IMPLICIT if place.scheme == "imaps" else TlsMode.STARTTLS
        return Endpoint(place.host, place.port, TlsMode.NONE if self.tls == "none" else mode, self.ca_file)


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


class Settings(Section):
    listen: tuple[Listener, ...] = Field(
        default=(Listener(url="pop3://127.0.0.1:1110"),),
        min_length=1,
        description="where POP3 clients connect: one or many; a URL, or a mapping with url: and options",
    )
    tls: Tls = Field(default_factory=Tls, description="TLS towards clients")
    upstream: Upstream = Field(description="the IMAP server behind; a URL, or a mapping with url: and options")
    maildrop: MaildropSettings = Field(default_factory=MaildropSettings, description="what clients see and cause")
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
    state: Path | None = Field(
        default=None,
        description="folder for what must survive: deletions that are still to be carried out, and what flag and "
        "keep hide; default /var/lib/pop3-gateway, or ~/.local/state/pop3-gateway where that cannot be written",
    )

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


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
