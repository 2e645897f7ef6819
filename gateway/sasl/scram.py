"""SCRAM (RFC 5802, RFC 7677), the server's side, with and without channel binding."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Generator
from dataclasses import dataclass

from gateway.errors import BadCredentials
from gateway.sasl.exchange import Begin, Exchange, Keyring, Occasion, Proof, Question, ScramKeys
from gateway.sasl.prep import prepared

HASHES = ("SHA-1", "SHA-256")
ITERATIONS = 4096  # RFC 7677 section 4; what it protects are long random passwords, which no dictionary has

# RFC 5802 section 7. Extensions may follow; `m=` is one that must be understood, and none is.
_FIRST = re.compile(
    r"(?s)(?P<header>(?:(?P<flag>[ny])|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authorization>[^,]*))?,)"
    r"(?P<bare>n=(?P<name>[^,]*),r=(?P<nonce>[!-+\--~]+)(?:,.*)?)"
)
_FINAL = re.compile(r"(?s)(?P<without_proof>c=(?P<binding>[^,]*),r=(?P<nonce>[^,]*)(?:,.*)?),p=(?P<proof>[^,]*)")
_ESCAPED = re.compile("=(2C|3D)")


@dataclass(frozen=True, slots=True)
class _First:
    """client-first-message."""

    header: str
    flag: str  # n, y or p
    binding: str
    authorization: str
    bare: str
    name: str
    nonce: str


def scram_keys(algorithm: str, password: str, salt: bytes, iterations: int) -> ScramKeys:
    """Takes milliseconds."""
    digest = _digest(algorithm)
    salted = hashlib.pbkdf2_hmac(digest, prepared(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", digest)
    return ScramKeys(hashlib.new(digest, client_key).digest(), hmac.digest(salted, b"Server Key", digest))


def scram(algorithm: str, *, plus: bool) -> Begin:
    def begin(occasion: Occasion) -> Exchange:
        return _exchange(algorithm, occasion, plus=plus)

    return begin


def _exchange(algorithm: str, occasion: Occasion, *, plus: bool) -> Exchange:
    first = _read_first((yield from _challenge(b"")))
    bound = _bound(first, occasion, plus=plus)
    keyring = yield Question(first.name)
    assert isinstance(keyring, Keyring)  # noqa: S101 - whoever is asked answers
    nonce = first.nonce + occasion.nonce
    salt = base64.b64encode(keyring.salt).decode("ascii")
    server_first = f"r={nonce},s={salt},i={keyring.iterations}"
    final = _FINAL.fullmatch(_text((yield from _challenge(server_first.encode()))))
    if final is None or final["nonce"] != nonce:
        raise BadCredentials(text="that is no answer to this SCRAM challenge")
    if _octets(final["binding"]) != first.header.encode() + bound:
        raise BadCredentials(text="the channel binding is not that of this connection")
    message = ",".join((first.bare, server_first, final["without_proof"])).encode()
    key, signature = _verified(algorithm, keyring, message, _octets(final["proof"]))
    yield from _challenge(b"v=" + base64.b64encode(signature))
    return Proof(first.name, key, "" if first.authorization == first.name else first.authorization)


def _challenge(octets: bytes) -> Generator[bytes, bytes | Keyring, bytes]:
    response = yield octets
    assert isinstance(response, bytes)  # noqa: S101 - only questions are answered otherwise
    return response


def _read_first(response: bytes) -> _First:
    found = _FIRST.fullmatch(_text(response))
    if found is None:
        raise BadCredentials(text="that is no SCRAM message that is understood here")
    parts = found.groupdict(default="")
    return _First(
        parts["header"],
        parts["flag"] or "p",
        parts["binding"],
        _name(parts["authorization"]),
        parts["bare"],
        _name(parts["name"]),
        parts["nonce"],
    )


def _bound(first: _First, occasion: Occasion, *, plus: bool) -> bytes:
    """The channel's own octets. Here it is noticed when somebody hid the -PLUS mechanisms (section 6)."""
    if (first.flag == "p") != plus:
        raise BadCredentials(text="channel binding is what the -PLUS mechanisms are for")
    if first.flag == "y" and occasion.bindings:
        raise BadCredentials(text="channel binding is offered here: somebody may have hidden it from the client")
    if not plus:
        return b""
    bound = occasion.bindings.get(first.binding)
    if bound is None:
        offered = " ".join(occasion.bindings) or "none"
        raise BadCredentials(text=f"this channel binding is not offered; there is {offered}")
    return bound


def _verified(algorithm: str, keyring: Keyring, message: bytes, proof: bytes) -> tuple[str, bytes]:
    """The key's name and the server's own proof. All keys are tried, so the time tells nothing."""
    digest = _digest(algorithm)
    found: tuple[str, bytes] | None = None
    for key in keyring.keys:
        kept = key.scram.get(algorithm)
        if kept is None or len(proof) != len(kept.stored_key):
            continue
        signature = hmac.digest(kept.stored_key, message, digest)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        if hmac.compare_digest(hashlib.new(digest, client_key).digest(), kept.stored_key):
            found = key.name, hmac.digest(kept.server_key, message, digest)
    if found is None:
        raise BadCredentials
    return found


def _digest(algorithm: str) -> str:
    return algorithm.replace("-", "").lower()


def _name(text: str) -> str:
    if "=" in _ESCAPED.sub("", text) or "\0" in text:
        raise BadCredentials(text="a name is not written as SCRAM wants it")
    return _ESCAPED.sub(lambda found: "," if found[1] == "2C" else "=", text)


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise BadCredentials(text="SCRAM is UTF-8") from None


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        raise BadCredentials(text="SCRAM has base64 within it") from None
