"""TLS towards clients: one context, with the certificate read anew when its file changes."""

import ssl
import time
from collections.abc import Callable
from pathlib import Path

from gateway.errors import SettingsError
from gateway.telemetry.events import CertificateReloaded, CertificateUnusable, Event

LOOK_SECONDS = 60.0  # between two looks at the files: a renewed certificate needs no restart


class ServerTls:
    """Call context() for each handshake. Raises SettingsError when the first certificate cannot be used."""

    def __init__(
        self, certificate: Path, key: Path | None, min_version: str, emit: Callable[[Event], None]
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._emit = emit
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion[min_version.replace(".", "_")]
        try:
            self._context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"tls.certificate: {certificate} cannot be used: {_explain(error)}") from error
        self._changed = self._last_change()
        self._looked = time.monotonic()

    def context(self) -> ssl.SSLContext:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self.look()
        return self._context

    def look(self) -> None:
        self._looked = time.monotonic()
        changed = self._last_change()
        if changed == self._changed:
            return
        self._changed = changed
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
            self._context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:  # half-written, or not matching: the next look may find it whole
            self._emit(CertificateUnusable(str(self._certificate), _explain(error)))
        else:
            self._emit(CertificateReloaded(str(self._certificate)))

    def _last_change(self) -> tuple[int, ...]:
        try:
            return tuple(path.stat().st_mtime_ns for path in (self._certificate, self._key) if path)
        except OSError:
            return ()


def _explain(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        if "PEM lib" in str(error):
            return "there is no private key in it; set tls.key"
        return {
            "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
            "NO_START_LINE": "a certificate and its key in PEM are needed",
        }.get(error.reason, str(error.reason))
    return error.strerror or str(error)
