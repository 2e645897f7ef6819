"""pop3:// and imap:// URLs, taken apart with an error that says what would be right."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Place:
    """scheme://host:port?option=value&…"""

    scheme: str
    host: str
    port: int
    options: Mapping[str, str]


_HOST = re.compile(r"[^\s/@\\?#]+")


def parse(url: str, ports: Mapping[str, int], example: str) -> Place:
    """`ports` are the schemes that may stand here, with the port of each. Raises ValueError."""
    right = f"like {example}"
    shown = _without_secret(url)
    if "://" not in url:
        raise ValueError(f"{shown!r} is not a URL; write it {right}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{shown!r} is not a URL ({error}); write it {right}") from None
    if parts.scheme not in ports:
        raise ValueError(
            f"{shown!r} begins with {parts.scheme}://; here it is {' or '.join(f'{s}://' for s in ports)}"
        )
    if parts.username or parts.password:
        raise ValueError("a name or password does not belong into this URL; the client's own are used")
    if not _HOST.fullmatch(parts.hostname or ""):
        raise ValueError(f"{shown!r} names no host; write it {right}")
    if parts.path not in ("", "/") or parts.fragment:
        raise ValueError(f"{shown!r} has something behind the port; write it {right}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Place(parts.scheme, parts.hostname or "", ports[parts.scheme] if port is None else port, options)


def _without_secret(url: str) -> str:
    """For an error text: what stands before an @ may be a password that somebody put there."""
    return re.sub(r"[^/@]*@", "…@", url)
