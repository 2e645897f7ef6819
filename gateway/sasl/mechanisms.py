"""PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), as exchanges.

An exchange yields challenges and is sent responses, both as decoded octets; it returns credentials or raises
BadCredentials. The base64 and the `+ ` around them belong to POP3 (RFC 5034).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

from gateway.errors import BadCredentials
from gateway.sasl.credentials import Credentials, Secret

Exchange = Generator[bytes, bytes, Credentials]


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A row of the table: how to begin, and whether the secret crosses the wire readable."""

    name: str
    begin: Callable[[], Exchange]
    clear_text: bool


def _plain() -> Exchange:
    response = yield b""
    parts = response.split(b"\0")
    if len(parts) != 3:
        raise BadCredentials(text="PLAIN takes three fields: identity NUL name NUL password")
    authorization, name, password = (_utf8(part) for part in parts)
    if authorization and authorization != name:
        raise BadCredentials(text="logging in as somebody else is not offered here")
    return _credentials(name, password)


def _login() -> Exchange:
    # The draft's own example prompts; several clients compare them to the letter.
    name = _utf8((yield b"Username:"))
    password = _utf8((yield b"Password:"))
    return _credentials(name, password)


def _utf8(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise BadCredentials(text="names and passwords are UTF-8 here") from None


def _credentials(name: str, password: str) -> Credentials:
    if not name or not password:
        raise BadCredentials(text="an empty name or password cannot log in")
    if "\0" in name or "\0" in password:
        raise BadCredentials(text="a name or password cannot contain NUL")
    return Credentials(name, Secret(password))


MECHANISMS = {
    mechanism.name: mechanism
    for mechanism in (
        Mechanism("PLAIN", _plain, clear_text=True),
        Mechanism("LOGIN", _login, clear_text=True),
    )
}
