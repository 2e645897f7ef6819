"""Signed statements (RFC 7523): of the application about itself, and of a service account for a user."""

import base64
import json
import time
from pathlib import Path
from typing import Any

from gateway.errors import RegistrationRefused
from gateway.sasl import Secret

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME_SECONDS = 600  # Google allows an hour, Microsoft advises ten minutes
SKEW_SECONDS = 60  # a clock of ours that is ahead would make a statement of the future


def certified(file: Path, audience: str) -> tuple[Any, Any]:
    """A key, and what signs with it in the place of a client secret: private_key_jwt.

    Which of the registered certificates it is says x5t#S256 (RFC 7515 section 4.1.8): Microsoft looks for it.
    """
    from authlib.oauth2.rfc7523 import PrivateKeyJWT  # noqa: PLC0415
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    octets = _read(file, "certificate")
    try:
        thumbprint = x509.load_pem_x509_certificate(octets).fingerprint(hashes.SHA256())
    except ValueError:
        raise RegistrationRefused(f"certificate: {file}: it holds no certificate in PEM") from None
    key, algorithm = _key(octets, f"certificate: {file}")
    header = {"typ": "JWT", "x5t#S256": base64.urlsafe_b64encode(thumbprint).decode().rstrip("=")}
    issued = int(time.time()) - SKEW_SECONDS
    claims = {"nbf": issued, "iat": issued, "exp": issued + SKEW_SECONDS + LIFETIME_SECONDS}
    return key, PrivateKeyJWT(audience, claims=claims, headers=header, alg=algorithm)


def service_account(file: Path, audience: str, user: str, scope: str) -> Secret:
    """That its account may open the mailbox of `user`, where its domain has delegated that to it."""
    from authlib.oauth2.rfc7523.assertion import sign_jwt_bearer_assertion  # noqa: PLC0415

    place = f"service_account: {file}"
    try:
        known = json.loads(_read(file, "service_account"))
        issuer, pem = known["client_email"], known["private_key"].encode()
        key_id = str(known.get("private_key_id", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise RegistrationRefused(
            f"{place}: it is no key of a service account, in JSON, as Google gives it"
        ) from None
    key, _ = _key(pem, place)
    issued = int(time.time()) - SKEW_SECONDS
    header = {"alg": "RS256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    signed = sign_jwt_bearer_assertion(
        key,
        issuer=issuer,
        audience=audience,
        subject=user,
        issued_at=issued,
        expires_in=SKEW_SECONDS + LIFETIME_SECONDS,
        claims={"scope": scope},
        header=header,
    )
    return Secret(signed)


def _key(pem: bytes, place: str) -> tuple[Any, str]:
    """A private key, and the algorithm of its kind that is signed with."""
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import ECKey, RSAKey  # noqa: PLC0415

    for kind, algorithm in ((RSAKey, "PS256"), (ECKey, "ES256")):
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError, TypeError):
            continue
        if key.is_private:
            return key, algorithm
    raise RegistrationRefused(f"{place}: it holds no private key, RSA or P-256, without a password")


def _read(file: Path, setting: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RegistrationRefused(f"{setting}: {file}: {error.strerror}") from None
