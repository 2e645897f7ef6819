"""What a provider is, and our application there: frozen values, which the table and the settings fill."""

from dataclasses import dataclass, replace
from pathlib import Path

from gateway.maildrop import OnDelete
from gateway.ports import Registration, Renewal
from gateway.sasl import Secret

TENANT = "{tenant}"  # in endpoints: whose directory, or which data centre, at a provider that has many
SHARED_TENANTS = frozenset({"common", "organizations", "consumers"})  # Microsoft's words for whichever it is

_ENDPOINTS = ("authorization", "token", "device", "revocation", "issuer")


@dataclass(frozen=True, slots=True)
class Provider:
    """Whoever gives access tokens for mailboxes. An endpoint that is "" is not known, or there is none."""

    name: str  # in the settings, and in Grant.provider
    title: str  # for people
    upstream: str  # URL of its IMAP server, as the setting has it; "": that of the settings
    authorization: str = ""  # endpoint: RFC 6749 section 3.1
    token: str = ""  # endpoint: section 3.2
    device: str = ""  # endpoint: RFC 8628 section 3.1
    revocation: str = ""  # endpoint: RFC 7009
    issuer: str = ""  # what it calls itself (RFC 9207); with `token` "", whom to ask for the endpoints (RFC 8414)
    scopes: tuple[str, ...] = ()  # to open one mailbox, and again later; none in the table: the settings say them
    application_scopes: tuple[str, ...] = ()  # to open all, with client credentials; none: the same
    asked: tuple[tuple[str, str], ...] = ()  # further parameters of an authorization request
    basic: bool = False  # client_secret_basic, where client_secret_post is not taken (RFC 6749 section 2.3.1)
    mechanism: str = "XOAUTH2"  # or OAUTHBEARER: the one to be preferred
    renewals: frozenset[Renewal] = frozenset({Renewal.REFRESH})  # what it can do
    tenant: str = ""  # in the place of {tenant}
    loopback: str = "127.0.0.1"  # the host of a redirect URI to this machine, on any port (RFC 8252 section 7.3);
    # "": it takes none over http://, so the answer is pasted by hand
    on_delete: OnDelete | None = None  # where its IMAP server deletes otherwise than others
    connections: int = 0  # to one mailbox at once; 0: it does not say
    domains: tuple[str, ...] = ()  # of addresses there
    exchangers: tuple[str, ...] = ()  # its MX hosts are these, or below these
    registered_at: str = ""  # URL: where an operator registers an application
    remark: str = ""  # what an operator should know beforehand
    sources: tuple[str, ...] = ()  # URLs: who says so

    @property
    def has_tenants(self) -> bool:
        return bool(self.tenant)

    def at_tenant(self, tenant: str) -> "Provider":
        """With the endpoints of this directory; "": of the usual one."""
        chosen = tenant or self.tenant
        filled = {name: getattr(self, name).replace(TENANT, chosen) for name in _ENDPOINTS}
        return replace(self, tenant=chosen, **filled)


@dataclass(frozen=True, slots=True)
class Client:
    """Our application at a provider, with what it proves itself by: the client of RFC 6749 section 2."""

    provider: Provider
    client_id: str = ""
    secret: Secret | None = None
    certificate: Path | None = None  # PEM, with its key: in the place of a secret (RFC 7523 section 2.2)
    service_account: Path | None = None  # Google's JSON: whom assertions come from (RFC 7523 section 2.1)
    ca_file: Path | None = None  # trusted instead of the system's authorities

    def registered(self, registration: Registration) -> "Client":
        """As an account has it that has a registration of its own."""
        if not registration.client_id:
            return self
        return replace(self, client_id=registration.client_id, secret=registration.client_secret, certificate=None)
