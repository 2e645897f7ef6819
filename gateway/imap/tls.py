"""TLS towards upstreams: verified, always."""

import ssl
from functools import lru_cache
from pathlib import Path

from gateway.errors import SettingsError


@lru_cache(maxsize=64)
def context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or later, certificate and host name checked, against `ca_file` instead of the system's if given."""
    try:
        made = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"upstream.ca_file: {ca_file} cannot be read as PEM certificates: {error}") from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made
