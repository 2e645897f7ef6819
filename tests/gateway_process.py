"""The gateway as its users run it: a process of its own, spoken to over sockets, its log read as JSON."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import leaks
from tests.fakes.imap import FakeImap
from tests.servers.tls import Certificates
from tests.servers.upstream import Upstream

START_SECONDS = 20.0
END_SECONDS = 40.0
ASKED = frozenset({"upstream offers", "upstream cannot be reached now"})


class GatewayProcess:
    """`pop3-gateway serve` with these settings (a mapping, as in the file); stop() sends SIGTERM."""

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "gateway.yaml"
        self.state = Path(settings.get("state_folder", settings["state"]))
        self.config.write_text(json.dumps(settings))  # JSON is YAML
        passes_through = settings.get("accounts", {}).get("pass_through", True)
        self._processes = settings.get("workers", 1) if passes_through else 0
        self.events: list[dict[str, Any]] = []
        self.raw_log = ""
        self._arrived: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-m", "gateway", "serve", "--config", str(self.config)],
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("POP3_GATEWAY_")},
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            listening = [self.wait_for("listening") for _ in settings["listen"]]
        except BaseException:
            self.kill()
            raise
        self.ports = {urlsplit(event["url"]).scheme: urlsplit(event["url"]).port for event in listening}

    def __enter__(self) -> "GatewayProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        """Of the plain listener."""
        return self.ports["pop3"] or 0

    @property
    def tls_port(self) -> int:
        return self.ports["pop3s"] or 0

    def wait_for(self, name: str, **fields: Any) -> dict[str, Any]:
        """The next event of that name (and with these fields) in the log; events before it are passed over."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                event = self._arrived.get(timeout=max(end - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no {name!r} {fields} in the log:\n{self.raw_log}") from None
            if event is None:
                raise AssertionError(f"the gateway ended before {name!r}:\n{self.raw_log}")
            if event["event"] == name and all(event.get(key) == value for key, value in fields.items()):
                return event

    def wait_until_it_knows_its_upstream(self) -> None:
        """Each of its processes asks once at the start, on a connection of its own, what the upstream offers."""
        end = time.monotonic() + START_SECONDS
        while sum(event["event"] in ASKED for event in self.events) < self._processes:
            assert time.monotonic() < end, self.raw_log
            time.sleep(0.005)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def account(self, *arguments: str, said: str = "") -> dict[str, Any]:
        """What `pop3-gateway account … --json` prints; see run()."""
        told: dict[str, Any] = json.loads(self.run("account", *arguments, "--json", said=said))
        leaks.note(told.get("password", ""))
        return told

    def run(self, *arguments: str, said: str = "") -> str:
        """Another command beside it, with something on standard input; what it prints."""
        for line in said.splitlines():
            leaks.note(line)
        command = [sys.executable, "-W", "error", "-m", "gateway", *arguments, "--config", str(self.config)]
        done = subprocess.run(command, input=said, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        status = self._process.wait(END_SECONDS)
        self._finish()
        return status

    def kill(self) -> None:
        """kill -9, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._finish()

    def _finish(self) -> None:
        self._reader.join()
        if self._process.stderr:
            self._process.stderr.close()
        leaked = {"the log": leaks.find(self.raw_log.encode())} | leaks.find_in_folder(self.state)
        assert not any(leaked.values()), leaked

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.raw_log += line
            try:
                event = json.loads(line)
            except ValueError:
                continue
            self.events.append(event)
            self._arrived.put(event)
        self._arrived.put(None)


StartGateway = Callable[..., GatewayProcess]


def settings_for(server: Upstream, certificates: Certificates, folder: Path, /, **more: Any) -> dict[str, Any]:
    """Both listeners on free ports, the upstream over TLS, and whatever the test adds."""
    url = f"imaps://{server.host}:{server.imaps_port}"
    return {
        "listen": ["pop3://127.0.0.1:0", "pop3s://127.0.0.1:0"],
        "tls": {"certificate": str(certificates.cert_file), "key": str(certificates.key_file)},
        "upstream": {"url": url, "ca_file": str(server.ca_file)},
        "state": str(folder / "state"),
        "log": {"format": "json", "level": "debug"},
    } | more


@pytest.fixture
def start_gateway(tmp_path: Path, certificates: Certificates) -> Iterator[StartGateway]:
    """Start gateways before an upstream; keyword arguments replace top-level settings."""
    with contextlib.ExitStack() as running:

        def start(server: Upstream, /, **more: Any) -> GatewayProcess:
            folder = tmp_path / f"gateway-{len(more)}-{time.monotonic_ns()}"
            fake = server if isinstance(server, FakeImap) and not server.open else None
            made = GatewayProcess(settings_for(server, certificates, folder, **more), folder)
            running.enter_context(made)
            if fake is not None:  # and of no other gateway: what a test counts begins now
                made.wait_until_it_knows_its_upstream()
                fake.wait_until_idle()
                fake.forget()
            return made

        yield start
