"""A certificate and its private key, from PEM files: what is wrong with them names the setting and the file."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.errors import SettingsError

_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class Pair:
    """As the settings name them; without a `key` it stands in the certificate's file."""

    certificate: Path
    key: Path | None = None

    def load_into(self, context: ssl.SSLContext) -> None:
        """Raises SettingsError."""
        certificate = _read("tls.certificate", self.certificate)
        key = certificate if self.key is None else _read("tls.key", self.key)
        self._look_for_both(certificate, key)
        try:
            context.load_cert_chain(self.certificate, self.key, password=self._refuse_encrypted)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(self._explain(error, certificate, key)) from error

    def last_change(self) -> tuple[int, ...]:
        """What differs when one of the files was written anew."""
        try:
            return tuple(path.stat().st_mtime_ns for path in (self.certificate, self.key) if path)
        except OSError:
            return ()

    @property
    def _at_key(self) -> str:
        return f"tls.certificate: {self.certificate}" if self.key is None else f"tls.key: {self.key}"

    def _look_for_both(self, certificate: bytes, key: bytes) -> None:
        if not _CERTIFICATE.search(certificate):
            swapped = self.key is not None and _KEY.search(certificate) and _CERTIFICATE.search(key)
            hint = "; are tls.certificate and tls.key swapped?" if swapped else ""
            raise SettingsError(f"tls.certificate: {self.certificate} holds no certificate in PEM{hint}")
        if not _KEY.search(key):
            hint = "; set tls.key" if self.key is None else ""
            raise SettingsError(f"{self._at_key} holds no private key in PEM{hint}")

    def _refuse_encrypted(self) -> NoReturn:
        """OpenSSL would ask at the terminal, and the event loop would wait for the answer."""
        path = self.key or self.certificate
        raise SettingsError(
            f"{self._at_key}: the key is encrypted; decrypt it: openssl pkey -in {path} -out decrypted.pem"
        )

    def _explain(self, error: OSError, certificate: bytes, key: bytes) -> str:
        why = getattr(error, "reason", None) or error.strerror or str(error)
        if why == "KEY_VALUES_MISMATCH":
            return f"{self._at_key}: the key does not belong to the certificate in {self.certificate}"
        if _is_key(key) or not _is_certificate(certificate):
            return f"tls.certificate: {self.certificate} is damaged, or not for TLS: {why}"
        return f"{self._at_key}: the key is damaged, or not for TLS: {why}"


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{setting}: {path}: {error.strerror or error}") from error


def _is_certificate(octets: bytes) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(octets))
    except ValueError:
        return False


def _is_key(octets: bytes) -> bool:
    try:
        load_pem_private_key(octets, password=None)
    except (TypeError, ValueError):
        return False
    return True
