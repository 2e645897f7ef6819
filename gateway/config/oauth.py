"""Providers of access tokens: our registration at those that are known, and the endpoints of any other."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from gateway.config.routes import endpoint_of
from gateway.config.sections import Section
from gateway.errors import SettingsError
from gateway.oauth import PROVIDERS, Client, Provider
from gateway.oauth.discovery import is_safe
from gateway.ports import Renewal
from gateway.sasl import Secret

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_TENANT = re.compile(r"[A-Za-z0-9.-]+")
# What the table says of a provider that is known; but these two it may leave open.
_DESCRIBING = ("issuer", "authorization", "token", "device", "revocation", "scopes", "mechanism", "upstream")
_OPEN = ("scopes", "upstream")


def _checked(check: Callable[[str], Any]) -> AfterValidator:
    def checked(value: str) -> str:
        if value:
            check(value)
        return value

    return AfterValidator(checked)


def _endpoint(url: str) -> None:
    if not is_safe(url):
        raise ValueError(f"{url!r} cannot be: secrets go there; write it like https://login.example.org/token")


def _tenant(value: str) -> None:
    if not _TENANT.fullmatch(value):
        raise ValueError(f"{value!r} is no tenant; write its domain or its number, like contoso.onmicrosoft.com")


def _words(value: Any) -> Any:
    return tuple(value.split()) if isinstance(value, str) else value


_Endpoint = Annotated[str, _checked(_endpoint)]


class Application(Section):
    """What one provider knows of us. `name` is its key in the settings, which is not written twice."""

    example: ClassVar[str] = "microsoft365: {client_id: 11111111-2222-3333-4444-555555555555}"

    name: str = Field(default="", exclude=True, repr=False, description="its key in the mapping")
    client_id: str = Field(default="", description="of our application, as the provider has registered it")
    client_secret: SecretStr | None = Field(
        default=None, description="likewise, unless it is a public one; best from the environment"
    )
    tenant: Annotated[str, _checked(_tenant)] = Field(
        default="",
        description="Microsoft: whose mailboxes, by domain or number; consumers for those that are nobody's "
        "employees, organizations for all others; without one it is either. Zoho: the data centre",
    )
    certificate: Path | None = Field(
        default=None,
        description="PEM file of a certificate and its key, in the place of client_secret: for client credentials",
    )
    service_account: Path | None = Field(
        default=None,
        description="JSON key of a Google service account that has domain-wide delegation; it needs no client_id",
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of authorities to trust there instead of the system's"
    )
    issuer: _Endpoint = Field(
        default="", description="of another provider, which says itself where its endpoints are (OpenID Connect)"
    )
    authorization: _Endpoint = Field(
        default="", description="or its endpoints, as URLs: where its users sign in with a browser"
    )
    token: _Endpoint = Field(default="", description="where we get tokens")
    device: _Endpoint = Field(default="", description="where we get a code to sign in with on another device")
    revocation: _Endpoint = Field(default="", description="where we give back what is needed no more")
    scopes: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(
        default=(),
        description="of another provider and of Zoho: what to ask for, so that IMAP takes a token, also later",
    )
    mechanism: Literal["XOAUTH2", "OAUTHBEARER"] = Field(
        default="XOAUTH2", description="of another provider: the one to be preferred"
    )
    upstream: Annotated[str, _checked(endpoint_of)] = Field(
        default="",
        description="of another provider and of Zoho: its IMAP server, as upstream: has it; default that one",
    )

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if not _NAME.fullmatch(self.name):
            raise ValueError("a provider's name has small letters, digits and hyphens")
        if self.client_secret and not self.client_id:
            raise ValueError("there is a client_secret without its client_id")
        if self.client_secret and self.certificate:
            raise ValueError("client_secret and certificate are both there; an application proves itself by one")
        known = PROVIDERS.get(self.name)
        if known is None:
            self._demand_endpoints()
        else:
            self._demand_registration_only(known)
        return self

    def _demand_registration_only(self, known: Provider) -> None:
        settled = [key for key in _DESCRIBING if key not in _OPEN or getattr(known, key)]
        if said := [key for key in settled if key in self.model_fields_set]:
            raise ValueError(
                f"{said[0]} of {known.title} is known; leave it out, or give the provider another name"
            )
        if self.tenant and not known.has_tenants:
            raise ValueError(f"{known.title} has no tenants; leave tenant out")
        if self.service_account and Renewal.ASSERTION not in known.renewals:
            raise ValueError(f"{known.title} has no service accounts; leave service_account out")
        if not known.scopes and not self.scopes:
            raise ValueError(f"scopes are needed: {known.title} documents none for IMAP; ask it what to write")

    def _demand_endpoints(self) -> None:
        if self.tenant:
            raise ValueError("tenant is Microsoft's; write the endpoints as they are")
        if not self.issuer and not self.token:
            close = difflib.get_close_matches(self.name, PROVIDERS, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(
                f"this provider is not known{hint}; say its issuer, or its endpoints: token, and authorization or "
                "device"
            )

    def client(self) -> Client:
        known = PROVIDERS.get(self.name)
        provider = self._completed(known) if known else self._provider()
        secret = Secret(self.client_secret.get_secret_value()) if self.client_secret else None
        return Client(provider, self.client_id, secret, self.certificate, self.service_account, self.ca_file)

    def _completed(self, known: Provider) -> Provider:
        said = {key: getattr(self, key) for key in _OPEN if getattr(self, key)}
        return replace(known.at_tenant(self.tenant), **said)

    def _provider(self) -> Provider:
        return Provider(
            self.name,
            self.name,
            self.upstream,
            authorization=self.authorization,
            token=self.token,
            device=self.device,
            revocation=self.revocation,
            issuer=self.issuer,
            scopes=self.scopes,
            mechanism=self.mechanism,
            renewals=frozenset(Renewal),
        )


def named(value: Any) -> Any:
    """Each entry is told its name, so that its error has its line."""
    if not isinstance(value, dict):
        raise ValueError(f"it is a mapping from a provider's name, as in {Application.example}")
    for name, said in value.items():
        if isinstance(said, dict) and "name" in said:
            raise ValueError(f"{name}.name: no such setting; its name stands before it")
    return {name: {**said, "name": name} if isinstance(said, dict) else said for name, said in value.items()}


Applications = Annotated[dict[str, Application], BeforeValidator(named)]


def clients(applications: Mapping[str, Application]) -> dict[str, Client]:
    """At every provider, those of the table too that the settings do not name."""
    known = {name: Client(provider.at_tenant("")) for name, provider in PROVIDERS.items()}
    return known | {name: application.client() for name, application in applications.items()}


def usable(found: Mapping[str, Client], name: str) -> Client:
    """One that a sign-in can begin with. Raises SettingsError."""
    client = found.get(name)
    if client is None:
        close = difflib.get_close_matches(name, found, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; there is {', '.join(found)}"
        raise SettingsError(f"oauth.{name}: this provider is not known{hint}")
    if not client.client_id and client.service_account is None:
        where = client.provider.registered_at
        place = f" at {where}" if where else ""
        raise SettingsError(
            f"oauth.{name}.client_id is needed: register an application{place}, and write its number there"
        )
    return client
