"""APOP (RFC 1939 section 7) and CRAM-MD5 (RFC 2195): a digest of the server's stamp and the password.

MD5 is what these two are made of; the secrets that they need to be kept readable are why neither is on unless an
app password was made for it.
"""

import hashlib
import hmac
from collections.abc import Callable

from gateway.errors import BadCredentials
from gateway.sasl.exchange import Exchange, Keyring, Occasion, Proof, Question

# For the log: a stranger cannot tell it from a wrong password.
NONE_IS_READABLE = (
    "no password of this name is kept so that APOP and CRAM-MD5 can use it: make a new one, with"
    " accounts.readable_passwords"
)


def apop(occasion: Occasion, user: str, digest: str) -> Exchange:
    """The one command: there is no challenge but the greeting's."""
    return (yield from _compared(user, digest, lambda secret: _md5(occasion.stamp.encode() + secret)))


def cram_md5(occasion: Occasion) -> Exchange:
    response = yield occasion.stamp.encode()
    assert isinstance(response, bytes)  # noqa: S101 - only questions are answered otherwise
    try:
        user, _, digest = response.decode().rpartition(" ")
    except UnicodeDecodeError:
        raise BadCredentials(text="names are UTF-8 here") from None
    return (
        yield from _compared(
            user, digest, lambda secret: hmac.new(secret, occasion.stamp.encode(), hashlib.md5).hexdigest()
        )
    )


def _compared(user: str, digest: str, expected: Callable[[bytes], str]) -> Exchange:
    """All keys are tried, so the time tells nothing."""
    if not user or "\0" in user:
        raise BadCredentials(text="a name and a digest are wanted")
    keyring = yield Question(user)
    assert isinstance(keyring, Keyring)  # noqa: S101 - whoever is asked answers
    found = ""
    for key in keyring.keys:
        if key.secret is not None:
            right = expected(key.secret.reveal().encode())
            if hmac.compare_digest(right.encode(), digest.lower().encode()):
                found = key.name
    if not found:
        raise BadCredentials("" if any(key.secret for key in keyring.keys) else NONE_IS_READABLE)
    return Proof(user, found)


def _md5(octets: bytes) -> str:
    return hashlib.md5(octets, usedforsecurity=False).hexdigest()
