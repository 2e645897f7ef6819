"""Those who do the work in turn: the gateway, Dovecot over imapc twice, Dovecot's own POP3, and nobody at all."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.client import HOST, Address
from tests.bench.dovecot import Imapc, Upstream, wait_for_greeting
from tests.bench.mail import Mailbox
from tests.servers.machine import free_ports
from tests.servers.tls import Certificates

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What all who take part in a row have before and behind them."""

    folder: Path
    certificates: Certificates
    files: Upstream
    upstream: Address  # as they reach it: in clear, over TLS, or far away
    mailbox: Mailbox
    settings: Mapping[str, object]  # of the gateway, beyond listen, upstream and state

    @property
    def tls(self) -> bool:
        return self.upstream.tls


class Subject(Protocol):
    """A POP3 server to measure; all its processes are one process group."""

    address: Address

    @property
    def group(self) -> int: ...

    def forget(self, user: str) -> None:
        """Lose what was learned of the user's mailbox."""

    def stop(self) -> None: ...


class Gateway:
    """`pop3-gateway serve` as a user starts it: what is not in the Scene has its default."""

    def __init__(self, scene: Scene) -> None:
        self._folder = scene.folder / "gateway"
        self._folder.mkdir()
        self._scene = scene
        (port,) = free_ports(HOST, 1)
        self.address = Address(HOST, port, scene.tls)
        (self._folder / "gateway.yaml").write_text(json.dumps(self._settings()))  # JSON is YAML
        self._start()

    @property
    def group(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def forget(self, user: str) -> None:
        self.stop()
        shutil.rmtree(self._folder / "state")
        self._start()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.group, signal.SIGKILL)
            self._process.wait()

    def _settings(self) -> dict[str, object]:
        upstream, made = self._scene.upstream, self._scene.certificates
        scheme, query = ("imaps", "") if upstream.tls else ("imap", "?tls=none")
        settings: dict[str, object] = {
            "listen": f"pop3{'s' if self.address.tls else ''}://{HOST}:{self.address.port}",
            "upstream": f"{scheme}://{upstream.host}:{upstream.port}{query}",
            "state": str(self._folder / "state"),
        }
        if self.address.tls:
            settings["tls"] = {"certificate": str(made.cert_file), "key": str(made.key_file)}
        if upstream.tls:
            settings["upstream"] = {"url": settings["upstream"], "ca_file": str(made.ca_file)}
        return settings | dict(self._scene.settings)

    def _start(self) -> None:
        arguments = ["-m", "gateway", "serve", "--config", str(self._folder / "gateway.yaml")]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if not name.startswith("POP3_GATEWAY_")},
            )
        if not wait_for_greeting(self.address, self._process):
            raise RuntimeError(f"the gateway did not start:\n{self.log}")


class Peer:
    """Dovecot's POP3 over imapc, with the processes that Dovecot starts when it is not told otherwise."""

    tuned = False

    def __init__(self, scene: Scene) -> None:
        self._dovecot = Imapc(
            scene.folder / type(self).__name__, scene.certificates, scene.upstream, tuned=self.tuned
        )
        self.address = self._dovecot.pop3s if scene.tls else self._dovecot.pop3

    @property
    def group(self) -> int:
        return self._dovecot.group

    def forget(self, user: str) -> None:
        self._dovecot.forget(user)

    def stop(self) -> None:
        self._dovecot.stop()


class Tuned(Peer):
    """The same with Dovecot's manual's settings for speed: no new process for each login and session."""

    tuned = True


class Native:
    """The upstream's own POP3, which reads the files. Its memory is the upstream's, and says nothing."""

    def __init__(self, scene: Scene) -> None:
        self.address = scene.files.pop3s if scene.tls else scene.files.pop3
        self.group = 0

    def forget(self, user: str) -> None:
        """It has nothing that the upstream has not."""

    def stop(self) -> None:
        """The upstream goes on."""


class Null:
    """A server that does no work, in clear always: what is left is the client."""

    def __init__(self, scene: Scene) -> None:
        (port,) = free_ports(HOST, 1)
        self.address = Address(HOST, port)
        least, most = scene.mailbox.octets
        arguments = [port, scene.mailbox.count, (least + most) // 2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.null", *map(str, arguments)], cwd=ROOT, start_new_session=True
        )
        if not wait_for_greeting(self.address, self._process):
            raise RuntimeError("the null server did not start")

    @property
    def group(self) -> int:
        return self._process.pid

    def forget(self, user: str) -> None:
        """It knows nothing."""

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


SUBJECTS: dict[str, Callable[[Scene], Subject]] = {
    "gateway": Gateway,
    "peer": Peer,
    "tuned": Tuned,
    "native": Native,
    "null": Null,
}


@contextlib.contextmanager
def far(upstream: Address, seconds: float) -> Iterator[Address]:
    """The upstream behind a relay in a process of its own, so many seconds away each way."""
    arguments = [sys.executable, "-m", "tests.bench.away", str(upstream.port), str(seconds)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Address(HOST, int(process.stdout.readline()))
        finally:
            process.kill()
