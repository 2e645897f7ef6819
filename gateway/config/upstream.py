"""The IMAP server behind, as the settings have it."""

from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from gateway.config.sections import Addressed, Section
from gateway.config.values import Count, Seconds
from gateway.ports import Endpoint, TlsMode
from gateway.sasl import Credentials, Secret


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
        default=4,
        ge=1,
        description="of them for one user, in all workers; other programs count, too: Dovecot allows 10, Gmail 15",
    )
    idle: Seconds = Field(default=720.0, description="how long one is kept; clients poll every ten minutes or so")
    age: Seconds = Field(
        default=1800.0,
        description="and how long after its login: a password that was changed upstream may be taken so long",
    )


class Master(Section):
    user: str = Field(default="", description="who logs in for stored accounts that have no password there")
    password: SecretStr | None = Field(default=None, description="the master user's; best from the environment")
    separator: str = Field(
        default="",
        description="between mailbox and master, where the upstream wants both in one name: * in Dovecot; "
        "without one it is SASL PLAIN's authorization identity",
    )

    @model_validator(mode="after")
    def _user_needs_password(self) -> Self:
        if self.user and self.password is None:
            raise ValueError("there is a master user without a password; set upstream.master.password too")
        return self


class Upstream(Addressed):
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
    master: Master = Field(default_factory=Master, description="one login there for all its mailboxes")
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
            if not self.allow_plaintext and not is_loopback(place.host):
                raise ValueError(
                    f"passwords would go to {place.host} in clear; drop tls=none (imap:// uses STARTTLS), "
                    "or say allow_plaintext: true if the way there is private"
                )
        return self

    def endpoint(self) -> Endpoint:
        place = self.place()
        mode = TlsMode.IMPLICIT if place.scheme == "imaps" else TlsMode.STARTTLS
        tls = TlsMode.NONE if self.tls == "none" else mode
        return Endpoint(place.host, place.port, tls, self.ca_file, self.master.separator)

    def master_credentials(self) -> Credentials | None:
        user, password = self.master.user, self.master.password
        return Credentials(user, Secret(password.get_secret_value())) if user and password else None


def is_loopback(host: str) -> bool:
    """By its name or address, without asking anybody."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
