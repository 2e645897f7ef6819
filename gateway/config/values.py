"""What a setting's value may look like: numbers, times, numbers of processes, networks."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, SecretStr

from gateway.networks import Network, network_of

MOST_WORKERS = 64  # more processes than this on one machine are a slip of the keyboard
DAY = 86400  # seconds
DNS_PORT = 53
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": DAY}


def _number(value: Any) -> Any:
    """YAML's yes and on are True, and True is 1 to Python."""
    if isinstance(value, bool):
        raise ValueError(f"a number is expected, not {str(value).lower()}")
    return value


Count = Annotated[int, BeforeValidator(_number)]


def _seconds(value: Any) -> Any:
    """`90`, `90s`, `10m`, `1h`, `2d`."""
    value = _number(value)
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", value)
        if not found:
            raise ValueError(f"{value!r} is not a time; write it like 90s, 10m, 1h or 2d")
        return float(found[1]) * _UNITS[found[2]]
    return value


SecondsOrNone = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=DAY)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=7 * DAY)]


def _workers(value: Any) -> Any:
    """A number, or auto: one error for both."""
    if value == "auto":
        return value
    try:
        number = int(_number(value))
    except (TypeError, ValueError, OverflowError):
        number = 0
    if not 1 <= number <= MOST_WORKERS or number != float(value):
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise ValueError(f"{shown} is not a number of processes; write 1 to {MOST_WORKERS}, or auto")
    return number


Workers = Annotated[int | Literal["auto"], PlainValidator(_workers)]


# A comma may be a URL's own: pop3://0.0.0.0:110?proxy_from=10.0.0.0/8,192.0.2.1
_BETWEEN_URLS = re.compile(r"[,\s]*\s[,\s]*|,(?=[A-Za-z][A-Za-z0-9+.-]*://)")


def urls_in(text: str) -> list[str]:
    """With blanks or commas between."""
    return [url for url in _BETWEEN_URLS.split(text.strip(" ,")) if url]


def _network(value: Any) -> Network:
    try:
        return network_of(str(value))
    except ValueError as error:  # "has host bits set" is one of them
        raise ValueError(f"{error}; write it like 10.0.0.0/8, 192.0.2.1 or 2001:db8::/32") from None


def _networks(value: Any) -> tuple[Network, ...]:
    """One or many; in a text, with commas or spaces between."""
    if isinstance(value, str):
        value = value.replace(",", " ").split() or [value]
    return tuple(map(_network, value if isinstance(value, list | tuple) else [value]))


def name_server(text: str) -> tuple[str, int]:
    """Address and port. Raises ValueError."""
    for address, port in ((text, str(DNS_PORT)), tuple(text.rpartition(":")[::2])):
        bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
        try:
            found = ip_address(bare)
        except ValueError:
            continue
        if re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536:
            return str(found), int(port)
    raise ValueError(f"{text!r} is no name server; write its address, like 127.0.0.1 or [::1]:5353")


def _name_server(value: Any) -> Any:
    if isinstance(value, str) and value:
        name_server(value)
    return value


NameServer = Annotated[str, BeforeValidator(_name_server)]
Networks = Annotated[tuple[Network, ...], PlainValidator(_networks)]


def state_place(value: Any) -> Path | SecretStr:
    """A folder, or a URL, which may hold a password and is not repeated."""
    if isinstance(value, Path | SecretStr):
        return value
    if not isinstance(value, str):
        shown = "" if isinstance(value, list | dict) else f", not {value}"
        raise ValueError(f"a folder is expected, or a URL like postgresql://user@host/database{shown}")
    scheme, separator, _ = value.partition("://")
    if not separator:
        return Path(value)
    if scheme not in ("postgresql", "postgres"):
        raise ValueError(f"a URL here begins with postgresql://, not {scheme}://; or it is a folder")
    return SecretStr(value)
