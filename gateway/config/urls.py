"""pop3:// and imap:// URLs, taken apart with an error that says what would be right."""

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


def parse(url: str, ports: Mapping[str, int], example: str) -> Place:
    """`ports` are the schemes that may stand here, with the port of each. Raises ValueError."""
    right = f"like {example}"
    if "://" not in url:
        raise ValueError(f"{url!r} is not a URL; write it {right}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not a URL ({error}); write it {right}") from None
    if parts.scheme not in ports:
        raise ValueError(
            f"{url!r} begins with {parts.scheme}://; here it is {' or '.join(f'{s}://' for s in ports)}"
        )
    if parts.username or parts.password:
        raise ValueError("a name or password does not belong into this URL; the client's own are used")
    if parts.path not in ("", "/") or parts.fragment:
        raise ValueError(f"{url!r} has something behind the port; write it {right}")
    if not parts.hostname:
        raise ValueError(f"{url!r} names no host; write it {right}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Place(parts.scheme, parts.hostname, ports[parts.scheme] if port is None else port, options)
