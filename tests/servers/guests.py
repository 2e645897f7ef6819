"""What it takes to run another IMAP server on a machine that has Dovecot.

Cyrus and Courier both start as root and run as another user, leave it to another process whether a password is
right (here: to the tests), and cannot be installed next to Dovecot, because Debian allows one IMAP server a
machine. The one package that conflicts is therefore unpacked into a cache, for these tests only; what it needs is
installed (tests/debian-packages.txt).
"""

import contextlib
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from tests.skipping import skip_unless_ci

QUESTION_SECONDS = 5.0
DOWNLOAD_SECONDS = 60.0
# Root's, and not in root's home: other users run what is in there.
CACHE = Path("/var/cache/pop3-gateway-tests")


def needs_root(name: str) -> None:
    if os.geteuid() != 0:
        skip_unless_ci(f"{name} starts as root: run these tests as root, for example in a container")


def unpacked(package: str, needs: str) -> Path:
    """The content of a package that cannot be installed here; what it needs is."""
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", needs], capture_output=True, text=True)
    if asked.returncode:
        skip_unless_ci(f"no {needs} on this machine: apt-get install {needs}")
    place = CACHE / f"{package}-for-{needs}-{asked.stdout}"
    if place.is_dir():
        return place
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = ["apt-get", "download", "-q", package]
        got = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
        archives = list(Path(folder).glob("*.deb"))
        if not archives:
            skip_unless_ci(f"no {package} for these tests: '{' '.join(command)}' says {got.stderr.strip()}")
        subprocess.run(["dpkg-deb", "-x", archives[0], f"{folder}/content"], check=True)
        with contextlib.suppress(OSError):  # another process of the tests was faster
            os.rename(f"{folder}/content", place)
    return place


class Questions:
    """A socket where a server asks whether a password is right. `answer` reads the question and says so."""

    def __init__(self, path: Path, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        path.chmod(0o777)
        self._socket.listen(100)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):  # who asked may have ended
                connection.settimeout(QUESTION_SECONDS)
                self._answer(connection)
