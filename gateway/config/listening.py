"""Where clients connect, and what is special there."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from gateway.config.sections import Addressed, Section
from gateway.config.values import Networks

_OLD = frozenset({"TLSv1", "TLSv1.1"})  # RFC 8996 has deprecated them


class Listener(Addressed):
    ports: ClassVar[dict[str, int]] = {"pop3": 110, "pop3s": 995}
    example: ClassVar[str] = "pop3://0.0.0.0:110 or pop3s://0.0.0.0:995"
    in_query: ClassVar[frozenset[str]] = frozenset(
        {"allow_plaintext", "min_version", "client_ca_file", "proxy_from"}
    )

    url: str = Field(
        description="pop3://address:port (STLS offered) or pop3s://address:port (TLS at once); port 0: any free"
    )
    allow_plaintext: bool = Field(
        default=False,
        description="take passwords without TLS from everywhere; without it only from clients on loopback, "
        "which behind a relay on this machine everybody is, unless it says for whom it comes: proxy_from",
    )
    min_version: Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] | None = Field(
        default=None,
        description="here instead of tls.min_version; TLSv1 and TLSv1.1, which others can read, and old ciphers "
        "are for a device that knows nothing better: give it a listener of its own",
    )
    client_ca_file: Path | None = Field(
        default=None,
        description="PEM file of authorities: whoever shows a certificate of theirs may log in without a password "
        "(SASL EXTERNAL), to the stored account that has one of its names",
    )
    proxy_from: Networks = Field(
        default=(),
        description="networks of proxies, like 10.0.0.0/8: clients come through these only, each connection "
        "begins with a PROXY header (v1 or v2), and the address in it is the client's; in a URL with + between",
    )

    @property
    def implicit_tls(self) -> bool:
        return self.place().scheme == "pop3s"

    @property
    def address(self) -> tuple[str, int]:
        place = self.place()
        return place.host, place.port

    @property
    def allows_old_tls(self) -> bool:
        return self.min_version in _OLD


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
