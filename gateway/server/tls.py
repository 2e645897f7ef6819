"""TLS towards clients: a context with the certificate, made anew when its files change."""

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.errors import SettingsError
from gateway.server import certificate
from gateway.server.pair import Pair
from gateway.telemetry.events import (
    CertificateEnded,
    CertificateEnds,
    CertificateReloaded,
    CertificateUnusable,
    Event,
)

WARN_DAYS = 14  # before a certificate ends; whoever renews by machine does so earlier
WARN_SECONDS = 86400.0  # from one warning to the next


class ServerTls:
    """Call context() for each handshake, and look() every now and then: a renewed certificate needs no restart.

    Raises SettingsError when the first certificate cannot be used.
    """

    def __init__(self, pair: Pair, min_version: str, emit: Callable[[Event], None]) -> None:
        self._pair = pair
        self._min_version = ssl.TLSVersion[min_version.replace(".", "_")]
        self._emit = emit
        self._warn_at = 0.0  # by time.monotonic()
        self._load()

    def context(self) -> ssl.SSLContext:
        return self._context

    def look(self) -> None:
        """Whether the files have changed, and how long the certificate is still good."""
        if self._pair.last_change() != self._changed:
            self.reload()
        if time.monotonic() >= self._warn_at:
            self._warn_at = time.monotonic() + WARN_SECONDS
            self._warn()

    def reload(self) -> None:
        """Now, changed or not. Where that fails the old certificate stays."""
        path = str(self._pair.certificate)
        try:
            self._load()
        except SettingsError as error:  # half-written, or not matching: the next look may find it whole
            self._emit(CertificateUnusable(path, str(error)))
        else:
            self._emit(CertificateReloaded(path))

    def _load(self) -> None:
        self._changed = self._pair.last_change()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._min_version
        self._pair.load_into(context)
        self._ends = certificate.ends(self._pair.certificate)
        self._context = context
        self._warn_at = 0.0

    def _warn(self) -> None:
        left = self._ends - datetime.now(UTC)
        if left < timedelta(days=WARN_DAYS):
            kind = CertificateEnds if left > timedelta(0) else CertificateEnded
            self._emit(kind(str(self._pair.certificate), f"{self._ends:%Y-%m-%dT%H:%M:%SZ}"))
