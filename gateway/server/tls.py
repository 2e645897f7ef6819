"""TLS towards clients: contexts with the certificate, made anew when its files change."""

import ssl
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
# TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL 3 takes at its lowest level only; DEFAULT has CBC and plain RSA.
OLD_CIPHERS = "DEFAULT:@SECLEVEL=0"


class ServerContext(ssl.SSLContext):
    """`end_point` is what tls-server-end-point binds to: a hash of the certificate (RFC 5929 section 4.1)."""

    end_point = b""


@dataclass(frozen=True, slots=True)
class TlsTerms:
    """What a listener wants of TLS: there is a context for each kind."""

    min_version: str = "TLSv1.2"
    client_ca_file: Path | None = None  # authorities for certificates of clients, which are asked for then


class ServerTls:
    """Call context() for each handshake, and look() every now and then: a renewed certificate needs no restart.

    All contexts have the same certificate, and are made anew together or not at all. Raises SettingsError when the
    first certificate cannot be used.
    """

    def __init__(self, pair: Pair, terms: Iterable[TlsTerms], emit: Callable[[Event], None]) -> None:
        self._pair = pair
        self._terms = frozenset(terms)
        self._emit = emit
        self._warn_at = 0.0  # by time.monotonic()
        self._load()

    def context(self, terms: TlsTerms) -> ssl.SSLContext:
        """`terms` are some of those that it was made with."""
        return self._contexts[terms]

    def look(self) -> None:
        """Whether the files have changed, and how long the certificate is still good."""
        if self._last_change() != self._changed:
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
        self._changed = self._last_change()
        contexts = {terms: self._context(terms) for terms in self._terms}
        self._ends = certificate.ends(self._pair.certificate)
        self._contexts = contexts
        self._warn_at = 0.0

    def _context(self, terms: TlsTerms) -> ServerContext:
        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        _allow(context, ssl.TLSVersion[terms.min_version.replace(".", "_")])
        self._pair.load_into(context)
        context.end_point = certificate.end_point(self._pair.certificate)
        if terms.client_ca_file is not None:
            ask_for_certificates(context, terms.client_ca_file)
        return context

    def _last_change(self) -> tuple[object, ...]:
        authorities = (terms.client_ca_file for terms in self._terms if terms.client_ca_file)
        return (self._pair.last_change(), *(Pair(path).last_change() for path in sorted(set(authorities))))

    def _warn(self) -> None:
        left = self._ends - datetime.now(UTC)
        if left < timedelta(days=WARN_DAYS):
            kind = CertificateEnds if left > timedelta(0) else CertificateEnded
            self._emit(kind(str(self._pair.certificate), f"{self._ends:%Y-%m-%dT%H:%M:%SZ}"))


def ask_for_certificates(context: ssl.SSLContext, client_ca_file: Path) -> None:
    """One is not demanded, but must be good where it is shown. Raises SettingsError."""
    try:
        context.load_verify_locations(client_ca_file)
    except ssl.SSLError as error:
        raise SettingsError(f"listen.client_ca_file: {client_ca_file} holds no certificates in PEM") from error
    except OSError as error:
        raise SettingsError(f"listen.client_ca_file: {client_ca_file}: {error.strerror or error}") from error
    context.verify_mode = ssl.CERT_OPTIONAL


def _allow(context: ssl.SSLContext, oldest: ssl.TLSVersion) -> None:
    if oldest >= ssl.TLSVersion.TLSv1_2:
        context.minimum_version = oldest
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the operator has been told already
        context.minimum_version = oldest
    context.set_ciphers(OLD_CIPHERS)
