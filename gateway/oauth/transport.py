"""One bounded HTTP request to a provider, which Authlib is given as its session. Loads httpcore.

httpcore is what httpx stands on. httpx bounds each wait and not their sum: a server that sends an octet every
now and then would keep it for hours, and a name with eight addresses that do not answer for eight times as long.
"""

import functools
import json
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpcore

from gateway.errors import ProviderError, RegistrationRefused
from gateway.oauth.deadline import Backend
from gateway.oauth.faults import NoAnswer, plain

CONNECT_SECONDS = 5.0  # to one address, and again for TLS
SILENCE_SECONDS = 15.0  # until the next octets
CALL_SECONDS = 20.0  # all in all, but for the host name's resolution: mail programs give up after some 110 s
ANSWER_OCTETS = 256 * 1024  # Microsoft's tokens have a few thousand
_SUCCESS, _REDIRECT, _TOO_MANY, _SERVER_ERROR = range(200, 300), range(300, 400), 429, 500

_HEADERS = {"User-Agent": "pop3-gateway", "Accept-Encoding": "identity", "Connection": "close"}
_FAULTS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
_PRIVATE = "; is it of a private authority? Set ca_file beside client_id"


@dataclass(frozen=True, slots=True)
class Response:
    """What Authlib wants of one, and no more."""

    status_code: int
    octets: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        return self.status_code in _SUCCESS

    def json(self) -> Any:
        """Raises ValueError."""
        return json.loads(self.octets)

    def raise_for_status(self) -> None:
        """It is asked where there was no JSON object."""
        if not self.is_success:
            raise NoAnswer(f"status {self.status_code}, and no answer in JSON")


class Session:
    """To servers that `ca_file`, or the system's authorities, vouch for. No redirects, no proxy, no cookies."""

    def __init__(self, ca_file: Path | None) -> None:
        self._ca_file = ca_file

    def get(self, url: str) -> Response:
        """Raises ProviderError."""
        return self._asked("GET", url, {"Accept": "application/json"}, "")

    def post(
        self, url: str, data: Mapping[str, str], headers: Mapping[str, str] | None = None, auth: Any = None
    ) -> Response:
        """A form. `auth` is Authlib's: how the client proves itself. Raises ProviderError."""
        said = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(data)
        if auth is not None:
            url, said, body = auth.prepare("POST", url, said | dict(headers or {}), body)
        return self._asked("POST", url, said, body)

    def _asked(self, method: str, url: str, headers: Mapping[str, str], body: str) -> Response:
        place = f"{method} {plain(url.partition('?')[0])}"
        known = {"Host": urlsplit(url).netloc, **_HEADERS, **headers}
        waits = {"connect": CONNECT_SECONDS, "read": SILENCE_SECONDS, "write": SILENCE_SECONDS}
        try:
            with (
                httpcore.ConnectionPool(trust(self._ca_file), network_backend=Backend(CALL_SECONDS)) as pool,
                pool.stream(
                    method,
                    url,
                    headers=list(known.items()),
                    content=body.encode(),
                    extensions={"timeout": waits},
                ) as response,
            ):
                status, octets = response.status, _whole(response.iter_stream())
        except (*_FAULTS, OSError, ValueError) as error:
            raise ProviderError(f"{place}: {_said(error)}") from None
        if status == _TOO_MANY or status >= _SERVER_ERROR:
            raise ProviderError(f"{place}: status {status}")
        if status in _REDIRECT:
            raise ProviderError(f"{place}: status {status}: it leads elsewhere, which is not followed")
        return Response(status, octets)


def _whole(parts: Iterable[bytes]) -> bytes:
    found = bytearray()
    for part in parts:
        found += part
        if len(found) > ANSWER_OCTETS:
            raise ValueError(f"the answer has more than {ANSWER_OCTETS} octets")
    return bytes(found)


def _said(error: Exception) -> str:
    if isinstance(error, httpcore.TimeoutException):
        return "no answer in time"
    words = plain(str(error)) or type(error).__name__
    return words + _PRIVATE if "CERTIFICATE_VERIFY_FAILED" in words else words


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Raises RegistrationRefused."""
    stamp = ca_file.stat().st_mtime_ns if ca_file and ca_file.exists() else 0
    return _context(ca_file, stamp)


@functools.lru_cache(maxsize=16)
def _context(ca_file: Path | None, stamp: int) -> ssl.SSLContext:  # noqa: ARG001 - a file that changed is another
    """To read the system's authorities takes some 20 ms."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, FileNotFoundError) else "it holds no certificates in PEM"
        raise RegistrationRefused(f"ca_file: {ca_file}: {why}") from None
