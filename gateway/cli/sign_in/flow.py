"""The ways to a grant, and which of them suits a provider and a terminal."""

from dataclasses import dataclass
from enum import Enum

from gateway.cli.terminal import span
from gateway.errors import SettingsError
from gateway.oauth import Client, Provider
from gateway.ports import Renewal

PATIENCE_SECONDS = 600.0  # for a person to sign in: two factors, and a forgotten password


class Flow(Enum):
    """As --flow has it."""

    CODE = "code"
    DEVICE = "device"
    CLIENT = "client-credentials"
    ASSERTION = "service-account"
    PASSWORD = "password"  # noqa: S105 - what it is called

    @property
    def renewal(self) -> Renewal:
        return _RENEWALS.get(self, Renewal.REFRESH)

    @classmethod
    def of(cls, renewal: Renewal) -> "Flow":
        """The first that leads to it."""
        return next(flow for flow in cls if flow.renewal is renewal)


_RENEWALS = {
    Flow.CLIENT: Renewal.CLIENT,
    Flow.ASSERTION: Renewal.ASSERTION,
    Flow.PASSWORD: Renewal.PASSWORD,
}


@dataclass(frozen=True, slots=True)
class Way:
    """How a person is to sign in."""

    user: str  # is suggested to the provider
    redirect_uri: str = ""  # as registered; "": to this machine, on any port
    opens_browser: bool = True
    patience: float = PATIENCE_SECONDS

    @property
    def over(self) -> str:
        """What is said when patience ends."""
        return f"nobody has signed in within {span(self.patience)}; call the command again"


def usual(client: Client, *, has_browser: bool) -> Flow:
    """A browser here; else the one in the owner's pocket, where the provider has that; else an address by hand."""
    if client.service_account is not None and Renewal.ASSERTION in client.provider.renewals:
        return Flow.ASSERTION  # whoever has one need ask nobody
    if has_browser or not _may_have_device(client.provider):
        return Flow.CODE
    return Flow.DEVICE


def possible(client: Client) -> list[Flow]:
    """With this provider, and with what the settings have for it."""
    return [flow for flow in offered(client.provider) if not _lacking(client, flow)]


def demand(client: Client, flow: Flow) -> None:
    """Raises SettingsError where the provider does not have it, or the settings lack what it takes."""
    choices = offered(client.provider)
    if flow not in choices:
        listed = ", ".join(known.value for known in choices)
        raise SettingsError(f"{client.provider.title} has no {flow.value}; --flow may be {listed}")
    if lacking := _lacking(client, flow):
        raise SettingsError(f"{flow.value} takes {lacking}")


def _lacking(client: Client, flow: Flow) -> str:
    """What has to be set; "": nothing."""
    setting = f"oauth.{client.provider.name}"
    if flow is Flow.CLIENT and client.secret is None and client.certificate is None:
        return f"a secret or a certificate: set {setting}.client_secret or {setting}.certificate"
    if flow is Flow.ASSERTION and client.service_account is None:
        return f"a key: set {setting}.service_account to its JSON file"
    if flow is not Flow.ASSERTION and not client.client_id:
        return f"an application: set {setting}.client_id"
    return ""


def offered(provider: Provider) -> list[Flow]:
    without = set() if _may_have_device(provider) else {Flow.DEVICE}
    return [flow for flow in Flow if flow.renewal in provider.renewals and flow not in without]


def _may_have_device(provider: Provider) -> bool:
    """Where only the issuer is known, it will say so itself."""
    return bool(provider.device or (provider.issuer and not provider.token))
