"""Keys as an operator has them: a certificate for an application, a service account as Google gives it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, RSAKey

from tests.servers.authorization import AuthorizationServer, Registered

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def key_file(folder: Path, name: str, octets: bytes) -> Path:
    file = folder / name
    file.touch(mode=0o600)
    file.write_bytes(octets)
    return file


def certificate(folder: Path, kind: str = "RSA") -> Path:
    """Of an application's own making, with its key: PEM."""
    key: PrivateKey = (
        rsa.generate_private_key(65537, 2048) if kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pop3-gateway")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return key_file(folder, f"{kind}.pem", made.public_bytes(serialization.Encoding.PEM) + pem(key))


def registered_key(server: AuthorizationServer, file: Path) -> Registered:
    """An application that proves itself by the key in this file."""
    octets = file.read_bytes()
    key: Any = (RSAKey if file.stem == "RSA" else ECKey).import_key(octets[octets.index(b"-----BEGIN PRIVATE") :])
    jwks = {"keys": [key.as_dict(private=False)]}
    return server.register(token_endpoint_auth_method="private_key_jwt", jwks=jwks)


def service_account(server: AuthorizationServer, folder: Path) -> Path:
    """The JSON of one that the server knows."""
    key = pem(rsa.generate_private_key(65537, 2048))
    public = RSAKey.import_key(key).as_dict(private=False)
    issuer = server.register_service_account({**public, "kid": "k1"})
    told = {"type": "service_account", "client_email": issuer, "private_key": key.decode(), "private_key_id": "k1"}
    return key_file(folder, "account.json", json.dumps(told).encode())


def pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
