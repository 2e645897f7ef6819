"""TLS towards upstreams: verified, always; its sessions resumed, which saves both ends the costly part."""

import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from gateway.errors import SettingsError
from gateway.ports import Endpoint

# A resumed session shows no certificate: after so long the server proves again who it is.
VERIFY_SECONDS = 3600.0
SESSIONS = 64  # kept, of all servers together; each bears a server's certificates, some 10 kB


class _Socket(ssl.SSLSocket):
    """Knows when its server last showed a certificate, by time.monotonic()."""

    verified_at = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Session:
    endpoint: Endpoint
    session: ssl.SSLSession
    verified_at: float


class Trust:
    """One context for one file of authorities, and the sessions that were made in it.

    A session is resumed with the server that gave it and no other, and in no other context: what one file of
    authorities vouched for is worth nothing under another.
    """

    def __init__(self, ca_file: Path | None) -> None:
        """Raises SettingsError."""
        self.changed = _last_change(ca_file)
        try:
            self.context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except ssl.SSLError as error:
            raise SettingsError(f"upstream.ca_file: {ca_file} holds no certificates in PEM") from error
        except OSError as error:
            raise SettingsError(f"upstream.ca_file: {ca_file}: {error.strerror or error}") from error
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.sslsocket_class = _Socket
        self._sessions: deque[_Session] = deque(maxlen=SESSIONS)
        self._guard = threading.Lock()

    def shake_hands(self, sock: socket, endpoint: Endpoint) -> ssl.SSLSocket:
        """Certificate and host name are checked. Raises OSError."""
        known = self._take(endpoint)
        try:
            secure = self.context.wrap_socket(
                sock, server_hostname=endpoint.host, session=known.session if known else None
            )
        except OSError:
            self._forget(endpoint)  # whatever it was: the next attempt does without
            raise
        if isinstance(secure, _Socket):
            resumed = known is not None and secure.session_reused
            secure.verified_at = known.verified_at if known and resumed else time.monotonic()
        return secure

    def remember(self, sock: socket, endpoint: Endpoint) -> None:
        """Keep the session. With TLS 1.3 there is none before the server has said something."""
        if not isinstance(sock, _Socket) or not (sock.session and sock.session.id):
            return
        with self._guard:
            self._sessions.append(_Session(endpoint, sock.session, sock.verified_at))

    def _take(self, endpoint: Endpoint) -> _Session | None:
        """The latest, which is then no longer kept: RFC 8446 section C.4 wants tickets used once."""
        least = time.monotonic() - VERIFY_SECONDS
        with self._guard:
            for known in reversed(self._sessions):
                if known.endpoint == endpoint and known.verified_at > least:
                    self._sessions.remove(known)
                    return known
        return None

    def _forget(self, endpoint: Endpoint) -> None:
        with self._guard:
            kept = [known for known in self._sessions if known.endpoint != endpoint]
            self._sessions = deque(kept, maxlen=SESSIONS)


_trusts: dict[Path | None, Trust] = {}
_guard = threading.Lock()


def trust(ca_file: Path | None) -> Trust:
    """TLS 1.2 or later, against `ca_file` instead of the system's authorities if given.

    To read the authorities takes longer than a login, so it is done once, and again when the file has changed.
    While a changed file cannot be read, the old ones count. Raises SettingsError for one that never could.
    """
    with _guard:
        known = _trusts.get(ca_file)
        if known is None or known.changed != _last_change(ca_file):
            try:
                known = _trusts[ca_file] = Trust(ca_file)
            except SettingsError:
                if known is None:
                    raise
        return known


def _last_change(ca_file: Path | None) -> tuple[int, ...]:
    """What differs when the file was written anew, or another was put in its place."""
    file = ca_file or ssl.get_default_verify_paths().cafile
    try:
        found = Path(file).stat() if file else None
    except OSError:
        found = None
    return (found.st_mtime_ns, found.st_ino, found.st_size) if found else ()
