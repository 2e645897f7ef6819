"""Whether files that the settings name can be used: seen at the start, not when the first client logs in."""

from collections.abc import Iterable

from gateway.errors import RegistrationRefused, SettingsError
from gateway.oauth import assertions
from gateway.oauth.provider import Client


def demand_usable(clients: Iterable[Client]) -> None:
    """As far as that can be seen without asking anybody. Raises SettingsError."""
    for client in clients:
        try:
            _read(client)
        except RegistrationRefused as error:
            raise SettingsError(f"oauth.{client.provider.name}.{error}") from None


def _read(client: Client) -> None:
    if client.ca_file:
        from gateway.oauth.transport import trust  # noqa: PLC0415

        trust(client.ca_file)
    if client.certificate:
        assertions.certified(client.certificate, audience="")
    if client.service_account:
        assertions.service_account(client.service_account, audience="", user="", scope="")
