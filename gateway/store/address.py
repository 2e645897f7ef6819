"""Where a state database is: a postgresql:// URL, read by libpq, whose password is shown nowhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import zip_longest

import psycopg
from psycopg.conninfo import conninfo_to_dict

from gateway.errors import SettingsError

# Of libpq; seconds, and milliseconds for the last. Silent firewalls forget a connection that is not used.
_DEFAULTS = {
    "application_name": "pop3-gateway",
    "connect_timeout": "2",
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "6000",
}
_UNREADABLE = (
    "this URL cannot be read; write it like postgresql://user:password@host/database, with %XX for odd"
    " characters in the password"
)
_PORTS = re.compile(r"[\d,]*")


@dataclass(frozen=True, slots=True)
class Address:
    shown: str
    parameters: Mapping[str, str] = field(repr=False)  # libpq's

    @classmethod
    def of(cls, url: str, setting: str = "state") -> "Address":
        """A server on another machine has to show a certificate unless the URL says otherwise. Raises
        SettingsError, which names the setting and does not quote the URL.
        """
        try:
            given = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
        except (psycopg.Error, UnicodeError):
            raise SettingsError(f"{setting}: {_UNREADABLE}") from None
        user, host, port = (given.get(key, "") for key in ("user", "host", "port"))
        if "@" in host[1:] or not _PORTS.fullmatch(port):  # of a password that is not quoted
            raise SettingsError(f"{setting}: {_UNREADABLE}")
        if not all(map(_is_here, given.get("hostaddr", given.get("host", "")).split(","))):
            given.setdefault("sslmode", "verify-full")
        pairs = zip_longest(host.split(","), port.split(","), fillvalue="")
        hosts = ",".join(f"{name}:{number}" if number else name for name, number in pairs)
        shown = f"postgresql://{user}{'@' if user else ''}{hosts}/{given.get('dbname', '')}"
        return cls(shown, _DEFAULTS | given | {"client_encoding": "UTF8"})

    def without_password(self, text: str) -> str:
        """Nobody is known to quote it; nobody shall."""
        password = self.parameters.get("password")
        return text.replace(password, "…") if password else text


def _is_here(host: str) -> bool:
    """A UNIX socket, or loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost") or host.startswith(("/", "@"))
