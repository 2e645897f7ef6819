"""The owner signs in on another device, with a code that is shown here (RFC 8628)."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import ProviderError, SignInNeeded
from gateway.oauth.discovery import is_safe
from gateway.oauth.faults import Pending, SlowDown
from gateway.oauth.provider import Client
from gateway.oauth.signin import lasting
from gateway.oauth.tokens import TokenEndpoint
from gateway.ports import Tokens
from gateway.sasl import Secret

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_SECONDS = 5.0  # where the provider names none (RFC 8628 section 3.2), and what slow_down adds (3.5)
LEAST_INTERVAL, MOST_INTERVAL = 1.0, 60.0  # seconds: what a provider may ask of us
MOST_LIFETIME = 3600.0  # seconds that anybody is waited for
MOST_LETTERS = 1000  # of what is shown
_DOING = "signing in by a code"


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """Shown to the owner: `user_code` is to be typed at `verification_uri`."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str  # with the code in it, for a QR code; "": the provider has none
    interval: float  # seconds between two polls, at least
    expires: float  # seconds since the epoch
    device_code: Secret  # ours alone


def begin_device(client: Client) -> DeviceCode:
    """Raises ProviderError: RegistrationRefused at a provider without it. Blocking."""
    endpoint = TokenEndpoint(client, _DOING)
    began = time.time()
    said = endpoint.ask("device", scope=" ".join(endpoint.provider.scopes))
    try:
        complete = said.get("verification_uri_complete") or ""
        return DeviceCode(
            _shown(said["user_code"]),
            _address(said.get("verification_uri") or said["verification_url"]),  # Google's spelling, at first
            _address(complete) if complete else "",
            min(max(_seconds(said.get("interval", INTERVAL_SECONDS)), LEAST_INTERVAL), MOST_INTERVAL),
            began + min(_seconds(said["expires_in"]), MOST_LIFETIME),
            Secret(_shown(said["device_code"])),
        )
    except (ArithmeticError, LookupError, TypeError, ValueError):
        raise ProviderError(f"{client.provider.name}: {_DOING}: the answer makes no sense") from None


def poll_device(client: Client, code: DeviceCode) -> Tokens | DeviceCode:
    """Not yet: the code to ask with next time, whose interval may be longer than before. Wait that long first.

    Raises SignInNeeded where the owner said no or the code has expired, ProviderError for all else: after one
    of these the code may be asked with again. Blocking.
    """
    if time.time() >= code.expires:
        raise SignInNeeded(f"{client.provider.name}: {_DOING}: the code has expired")
    endpoint = TokenEndpoint(client, _DOING)
    try:
        found = endpoint.fetch(DEVICE_CODE, [code.device_code], device_code=code.device_code.reveal())
    except SlowDown:
        return replace(code, interval=code.interval + INTERVAL_SECONDS)
    except Pending:
        return code
    return lasting(client, found)


def _shown(text: Any) -> str:
    if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= MOST_LETTERS:
        raise ValueError("not a word")
    return text


def _address(url: Any) -> str:
    """The owner is sent there, and types a code."""
    if not is_safe(_shown(url)):
        raise ValueError("not https://")
    return str(url)


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError("not a time")
    return seconds
