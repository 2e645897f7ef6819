"""A certificate for who has none: self-signed, made once, kept in the state folder."""

import datetime
import ipaddress
import os
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import SettingsError, StateError

FILE_NAME = "self-signed.pem"
VALID_DAYS = 3650  # a client that was told to trust it once should not be asked again
RENEW_DAYS = 30


def self_signed(folder: Path) -> tuple[Path, bool]:
    """The PEM file with certificate and key, and whether it was made just now. Raises StateError."""
    path = folder / FILE_NAME
    if path.exists() and _is_good(path):
        return path, False
    # Written whole under another name first: a second process never reads half a file.
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        draft.touch(mode=0o600)
        draft.write_bytes(_make())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StateError(f"no certificate can be made in {folder}: {error.strerror}") from error
    return path, True


def fingerprint(path: Path) -> str:
    """SHA-256 of the first certificate in a PEM file, as mail programs show it."""
    return _first(path).fingerprint(hashes.SHA256()).hex(":").upper()


def ends(path: Path) -> datetime.datetime:
    """When the first certificate in a PEM file is no longer good. Raises SettingsError."""
    return _first(path).not_valid_after_utc


def end_point(path: Path) -> bytes:
    """A hash of the first certificate by its signature's own algorithm, and no weaker one than SHA-256."""
    first = x509.load_pem_x509_certificates(path.read_bytes())[0]
    algorithm = first.signature_hash_algorithm
    weak = algorithm is None or isinstance(algorithm, hashes.MD5 | hashes.SHA1)
    return first.fingerprint(hashes.SHA256() if weak or algorithm is None else algorithm)


def describe(path: Path) -> str:
    """For whom, and until when. Raises SettingsError."""
    first = _first(path)
    try:
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = [
            str(name)
            for name in (*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.IPAddress))
        ]
    except x509.ExtensionNotFound:
        known = []
    return f"for {', '.join(known) or first.subject.rfc4514_string()}, until {first.not_valid_after_utc:%Y-%m-%d}"


def _first(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise SettingsError(f"tls.certificate: {path} cannot be read as a certificate: {error}") from error


def _is_good(path: Path) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left > datetime.timedelta(days=RENEW_DAYS)


def _make() -> bytes:
    host = socket.getfqdn() or "localhost"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(known) for known in dict.fromkeys((host, "localhost"))]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
