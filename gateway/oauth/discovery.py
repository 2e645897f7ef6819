"""A provider that is known by its issuer says itself where its endpoints are."""

import functools
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import ProviderError
from gateway.oauth.faults import plain
from gateway.oauth.provider import Client, Provider

REMEMBERED_SECONDS = 3600
_NOT_FOUND = 404
_PLAIN = re.compile(r"[\x21-\x7e]+")  # RFC 3986; other host names have A-labels
_SETTINGS = {  # ours, and theirs (RFC 8414 section 2)
    "authorization": "authorization_endpoint",
    "token": "token_endpoint",
    "device": "device_authorization_endpoint",
    "revocation": "revocation_endpoint",
}


def located(client: Client) -> Provider:
    """With its endpoints. Raises ProviderError."""
    provider = client.provider
    if provider.token or not provider.issuer:
        return provider
    hour = int(time.time() // REMEMBERED_SECONDS)
    try:
        return replace(provider, **_looked_up(provider.issuer, client.ca_file, hour))
    except ProviderError as error:
        raise type(error)(f"oauth.{provider.name}.issuer: {error}") from error


def is_safe(url: str) -> bool:
    """HTTPS, or plain HTTP on this machine: what goes there is secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username or parts.fragment or not _PLAIN.fullmatch(url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1"))


@functools.lru_cache(maxsize=64)
def _looked_up(issuer: str, ca_file: Path | None, hour: int) -> dict[str, Any]:  # noqa: ARG001 - each hour anew
    from gateway.oauth.transport import Session  # noqa: PLC0415

    said = _metadata(issuer, Session(ca_file).get)
    if said.get("issuer") != issuer:  # RFC 8414 section 3.3: else it may be somebody else's
        raise ProviderError(f"{issuer}: its metadata is of another issuer: {plain(str(said.get('issuer')))}")
    found = {ours: said[theirs] for ours, theirs in _SETTINGS.items() if theirs in said}
    for endpoint, url in found.items():
        if not isinstance(url, str) or not is_safe(url):
            raise ProviderError(f"{issuer}: its {endpoint} endpoint is not https://: {plain(str(url))}")
    if "token" not in found:
        raise ProviderError(f"{issuer}: its metadata has no token endpoint")
    methods = said.get("token_endpoint_auth_methods_supported")
    basic = isinstance(methods, list) and "client_secret_basic" in methods and "client_secret_post" not in methods
    return found | {"basic": basic}


def _metadata(issuer: str, get: Callable[[str], Any]) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0 section 4, and where there is none RFC 8414 section 3."""
    parts = urlsplit(issuer)
    places = (
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}",
    )
    for place in places:
        response = get(place)
        if response.status_code == _NOT_FOUND:
            continue
        try:
            said = response.json()
        except (ValueError, RecursionError):
            said = None
        if not response.is_success or not isinstance(said, dict):
            raise ProviderError(f"{place}: status {response.status_code}, and no metadata")
        return said
    raise ProviderError(f"{issuer}: no metadata at {' or '.join(places)}")
