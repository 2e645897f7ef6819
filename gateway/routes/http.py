"""A service that speaks the protocol of nginx's mail proxy: ngx_mail_auth_http_module.

It is asked as nginx asks, in headers only, and says in headers whether the login is right and where it goes. Its
answers are believed: it is the operator's.
"""

import re
import ssl
from typing import TYPE_CHECKING

from gateway import naming
from gateway.errors import BadCredentials, LookupFailed, SettingsError
from gateway.naming import Values
from gateway.ports import Peer
from gateway.routes.answer import Answer
from gateway.sasl import Bearer, Credentials, Secret

if TYPE_CHECKING:
    import httpx

CONNECTIONS = 100  # to the service, at once
ANSWER_SECONDS = 6.0  # for each of: to connect, to write, to read the next octets
TEXT_LETTERS = 200  # of the service's words that a client gets to read

_REDIRECT, _SERVER_ERROR = range(300, 400), range(500, 600)
_ESCAPED = re.compile(rb"[\x00-\x20%\x7f]")


def escaped(text: str) -> bytes:
    """As nginx does it: %XX for controls, blanks and percent signs, and all other octets as they are.

    DEL, too, which nginx sends as it is and HTTP does not allow; services decode it in any case.
    """
    return _ESCAPED.sub(lambda found: b"%%%02X" % ord(found[0]), text.encode())


def request_headers(claim: Credentials, peer: Peer) -> list[tuple[bytes, bytes]]:
    """In nginx's order. The protocol is IMAP, whatever the client speaks: an IMAP server is what we look for."""
    headers = [
        (b"Auth-Method", b"plain"),
        (b"Auth-User", escaped(claim.user)),
        (b"Auth-Pass", escaped(claim.secret.reveal())),
        (b"Auth-Protocol", b"imap"),
        (b"Auth-Login-Attempt", b"%d" % peer.attempt),
        (b"Client-IP", peer.address.encode()),
    ]
    return [*headers, (b"Auth-SSL", b"on")] if peer.encrypted else headers


class HttpLookUp:
    """Implements LookUp. httpx is imported at the first question."""

    def __init__(self, http: naming.Http, place: str) -> None:
        self._url = http.url
        self._more = [(name.encode(), value.encode()) for name, value in http.headers]
        self._place = place
        self._trust: ssl.SSLContext | bool = _trust(http, place) if http.url.startswith("https:") else False
        self._client: httpx.AsyncClient | None = None

    async def ask(self, values: Values, claim: Credentials | Bearer, peer: Peer) -> Answer | None:  # noqa: ARG002
        """It knows all names: whom it does not want it refuses."""
        if isinstance(claim, Bearer):
            raise BadCredentials(
                f"{self._place}.http: a token cannot be asked for", text="a password is wanted here"
            )
        status, said = await self._asked(request_headers(claim, peer) + self._more)
        verdict = said.get("auth-status")
        if status in _REDIRECT or status in _SERVER_ERROR or verdict is None:
            raise self._failed(f"status {status}, and {'' if verdict else 'no '}Auth-Status")
        if verdict == "WAIT":
            raise self._failed("it says WAIT")
        if verdict != "OK":
            words = _words(verdict)
            raise BadCredentials(f"{self._place}.http: {words}", text=words)
        return self._answer(said)

    def close(self) -> None:
        """No connection outlives its answer."""

    def _answer(self, said: dict[str, str]) -> Answer:
        if not said.get("auth-server") or not said.get("auth-port"):
            raise self._failed("Auth-Status OK without Auth-Server and Auth-Port")
        values = {"host": said["auth-server"], "port": said["auth-port"]}
        if user := said.get("auth-user"):
            values["user"] = user
        secret = said.get("auth-pass")
        return Answer(values, Secret(secret) if secret else None)

    async def _asked(self, headers: list[tuple[bytes, bytes]]) -> tuple[int, dict[str, str]]:
        """Status and headers, their names in small letters. The body is not read: it says nothing."""
        import httpx  # noqa: PLC0415

        if self._client is None:
            self._client = _client(self._trust)
        try:
            async with self._client.stream("GET", self._url, headers=headers) as response:
                return response.status_code, {
                    name.lower(): value for name, value in map(_text, response.headers.raw)
                }
        except httpx.ProtocolError as error:  # which quotes the line, with a password perhaps
            said, quoted, _ = str(error).partition(":")
            raise self._failed(f"{said}: …" if quoted else said) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise self._failed(str(error) or type(error).__name__) from error

    def _failed(self, why: str) -> LookupFailed:
        return LookupFailed(f"{self._place}.http: {self._url}: {why}")


def _client(trust: ssl.SSLContext | bool) -> "httpx.AsyncClient":
    """That follows no redirect, which would take passwords elsewhere, and no proxy of the environment's."""
    import httpx  # noqa: PLC0415

    return httpx.AsyncClient(
        verify=trust,
        trust_env=False,
        follow_redirects=False,
        timeout=ANSWER_SECONDS,
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=0),
        headers={"User-Agent": "pop3-gateway", "Accept-Encoding": "identity", "Connection": "close"},
    )


def _trust(http: naming.Http, place: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=http.ca_file)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, FileNotFoundError) else "it holds no certificates in PEM"
        raise SettingsError(f"{place}.ca_file: {http.ca_file}: {why}") from None


def _text(header: tuple[bytes, bytes]) -> tuple[str, str]:
    name, value = header
    return name.decode("ascii", "replace"), value.decode("utf-8", "replace")


def _words(text: str) -> str:
    """A line that a client may read."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)[:TEXT_LETTERS].strip()
    return line or "the name or the password is wrong"
