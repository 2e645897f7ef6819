"""A certificate authority for tests, the certificate of a server on this machine, and those of clients."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOCAL = ("localhost", "127.0.0.1", "127.0.0.2", "::1")


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority to trust, and what a server needs to be trusted."""

    ca_file: Path
    cert_file: Path
    key_file: Path


class Authority:
    """Signs certificates; `ca_file` is its own."""

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("pop3-gateway test authority")
        begin, end = _period(timedelta(days=30))
        ca = (
            _builder(self._name, self._name, self._key, self._key, begin, end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))

    def sign(
        self,
        subject: x509.Name,
        names: Sequence[x509.GeneralName],
        purpose: x509.ObjectIdentifier,
        lifetime: timedelta,
    ) -> tuple[bytes, bytes]:
        """Certificate and key, in PEM. A negative lifetime makes one that has expired already."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            _builder(subject, self._name, key, self._key, *_period(lifetime))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private

    def client(
        self,
        file: Path,
        *,
        common_name: str = "A device",
        addresses: Sequence[str] = (),
        subject_address: str = "",
        lifetime: timedelta = timedelta(days=20),
    ) -> Path:
        """A client's certificate and key, written to `file`; `addresses` are alternative names."""
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if subject_address:
            subject.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, subject_address))
        names = [x509.RFC822Name(address) for address in addresses]
        certificate, key = self.sign(x509.Name(subject), names, ExtendedKeyUsageOID.CLIENT_AUTH, lifetime)
        file.touch(mode=0o600)
        file.write_bytes(certificate + key)
        return file


def make(folder: Path, names: Sequence[str] = LOCAL, *, lifetime: timedelta = timedelta(days=20)) -> Certificates:
    """Make a new authority and a server certificate for these names and addresses.

    A negative lifetime makes a server certificate that has expired already.
    """
    authority = Authority(folder)
    alternatives = [_alternative(name) for name in names]
    certificate, key = authority.sign(_name(names[0]), alternatives, ExtendedKeyUsageOID.SERVER_AUTH, lifetime)
    made = Certificates(authority.ca_file, folder / "cert.pem", folder / "key.pem")
    made.cert_file.write_bytes(certificate)
    made.key_file.touch(mode=0o600)
    made.key_file.write_bytes(key)
    return made


def _period(lifetime: timedelta) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(days=30), now + lifetime


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    ca_key: ec.EllipticCurvePrivateKey,
    begin: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    """What both certificates bear; Python 3.13 verifies strictly and asks for the key identifiers."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
