"""The table of mechanisms, and the simplest of them: PLAIN, LOGIN, the two with tokens, and EXTERNAL."""

import re
from dataclasses import dataclass
from enum import Enum

from gateway.errors import BadCredentials
from gateway.sasl.credentials import Credentials, Secret
from gateway.sasl.digests import cram_md5
from gateway.sasl.exchange import Bearer, Begin, Certified, Exchange, Occasion
from gateway.sasl.scram import HASHES, scram


class Needs(Enum):
    """What a mechanism stands on, besides the client that offers it."""

    PASSWORD = "the password itself crosses the wire"  # noqa: S105 - what it is, not one
    SCRAM = "keys that were made of the password"
    SECRET = "the password, kept so that it can be read"  # noqa: S105
    TOKEN = "an upstream that takes tokens"  # noqa: S105
    CERTIFICATE = "a client certificate"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A row of the table."""

    name: str
    begin: Begin
    needs: Needs
    bound: bool = False  # to the TLS channel

    @property
    def clear_text(self) -> bool:
        """Whether what crosses the wire is enough to log in with."""
        return self.needs in (Needs.PASSWORD, Needs.TOKEN)


def _plain(_: Occasion) -> Exchange:
    """RFC 4616."""
    parts = _octets((yield b"")).split(b"\0")
    if len(parts) != 3:
        raise BadCredentials(text="PLAIN takes three fields: identity NUL name NUL password")
    authorization, name, password = (_utf8(part) for part in parts)
    return _credentials(name, password, "" if authorization == name else authorization)


def _login(_: Occasion) -> Exchange:
    """draft-murchison-sasl-login, with its own example prompts: several clients compare them to the letter."""
    name = _utf8(_octets((yield b"Username:")))
    password = _utf8(_octets((yield b"Password:")))
    return _credentials(name, password)


_XOAUTH2 = re.compile(r"user=(?P<user>[^\x00\x01]+)\x01auth=Bearer (?P<token>[!-~]+)\x01\x01", re.IGNORECASE)
# RFC 7628 section 3.1: a GS2 header without channel binding, then fields of which one is the token.
_OAUTHBEARER = re.compile(
    r"[ny],a=(?P<user>[^\x00,\x01]+),\x01(?:[a-z]+=[^\x01]*\x01)*?"
    r"auth=Bearer (?P<token>[!-~]+)\x01(?:[a-z]+=[^\x01]*\x01)*\x01",
    re.IGNORECASE,
)


def _bearer(name: str, form: "re.Pattern[str]") -> Begin:
    def begin(_: Occasion) -> Exchange:
        found = form.fullmatch(_utf8(_octets((yield b""))))
        if found is None:
            raise BadCredentials(text=f"{name} takes a user and a bearer token")
        user = found["user"].replace("=2C", ",").replace("=3D", "=") if name == "OAUTHBEARER" else found["user"]
        return Bearer(user, Secret(found["token"]), name)

    return begin


def _external(occasion: Occasion) -> Exchange:
    """RFC 4422 appendix A: who it is has been said by the certificate; the response may say who it wants to be."""
    authorization = _utf8(_octets((yield b"")))
    if not occasion.certified:
        raise BadCredentials(text="EXTERNAL takes a client certificate, and none was shown")
    if "\0" in authorization:
        raise BadCredentials(text="a name cannot contain NUL")
    return Certified(occasion.certified, authorization)


def _octets(response: object) -> bytes:
    assert isinstance(response, bytes)  # noqa: S101 - only questions are answered otherwise
    return response


def _utf8(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise BadCredentials(text="names and passwords are UTF-8 here") from None


def _credentials(name: str, password: str, authorization: str = "") -> Credentials:
    if not name or not password:
        raise BadCredentials(text="an empty name or password cannot log in")
    if "\0" in name or "\0" in password:
        raise BadCredentials(text="a name or password cannot contain NUL")
    return Credentials(name, Secret(password), authorization)


# The strongest first: several clients take the first one that they know.
MECHANISMS = {
    mechanism.name: mechanism
    for mechanism in (
        *(
            Mechanism(f"SCRAM-{algorithm}{'-PLUS' * plus}", scram(algorithm, plus=plus), Needs.SCRAM, bound=plus)
            for algorithm in reversed(HASHES)
            for plus in (True, False)
        ),
        Mechanism("EXTERNAL", _external, Needs.CERTIFICATE),
        Mechanism("OAUTHBEARER", _bearer("OAUTHBEARER", _OAUTHBEARER), Needs.TOKEN),
        Mechanism("XOAUTH2", _bearer("XOAUTH2", _XOAUTH2), Needs.TOKEN),
        Mechanism("CRAM-MD5", cram_md5, Needs.SECRET),
        Mechanism("PLAIN", _plain, Needs.PASSWORD),
        Mechanism("LOGIN", _login, Needs.PASSWORD),
    )
}
# What tells that a token was refused: RFC 7628 section 3.2.2, and as Google has it for its own.
TOKEN_REFUSALS = {
    "OAUTHBEARER": b'{"status":"invalid_token"}',
    "XOAUTH2": b'{"status":"401","schemes":"bearer"}',
}
TOKEN_MECHANISMS = frozenset(name for name, row in MECHANISMS.items() if row.needs is Needs.TOKEN)
