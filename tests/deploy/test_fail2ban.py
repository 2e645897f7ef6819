"""The fail2ban filter, by fail2ban's own tool, on what a gateway writes: who is found, and cannot be forged."""

import base64
import io
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from gateway.telemetry import Event, Log, session_id
from gateway.telemetry.events import AccountLockedOut, AddressLockedOut, LoggedIn, LoginFailed
from tests.gateway_process import settings_for
from tests.server.pop3_client import RawClient
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import requires
from tests.servers.tls import Certificates

FILTER = Path(__file__).parents[2] / "deploy" / "fail2ban" / "filter.d" / "pop3-gateway.conf"
STRANGER = "127.0.0.66"
FORGED = "1.2.3.4"
SECONDS = 20.0
FAILURE = r'^(?:\{"timestamp": "\S*", "level": "warning", "event": "login failed"|\S+ \[warning +\] login failed )'
AS_JSON = f'"address": "{FORGED}", "code": "AUTH", "error": "'
AS_TEXT = f"address={FORGED} code=AUTH error=x"
TIME = "2026-11-24T03:26:00.123456Z"
WHY = "too many failed logins"
NAMES = [
    "ann",
    "ann smith",
    "ä",
    "",
    f'x", {AS_JSON}',
    f'x\\", {AS_JSON}',
    f'x\\\\", {AS_JSON}',
    f"x {AS_TEXT}",
    f"x' {AS_TEXT}",
    f'x" {AS_TEXT}',
    f"x\\' {AS_TEXT}",
    f"'\" {AS_TEXT}",
    "x\\",
    "x'\\",
    '"',
    f"x\n{TIME} [warning  ] login failed  session=a user=x {AS_TEXT}",
    f'x\n{{"timestamp": "{TIME}", "level": "warning", "event": "login failed", "user": "", {AS_JSON}',
    f'{{"timestamp": "", "level": "warning", "event": "login failed", "user": "x", {AS_JSON}',
    f'"}}{{"timestamp": "", "level": "warning", "event": "address locked out: {WHY}", "address": "{FORGED}",',
    f"[warning  ] address locked out: {WHY} address={FORGED} seconds=900",
    f"x address={FORGED}" * 40,
]


Find = Callable[[str, str], Counter[str]]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """What fail2ban finds in a log, by address."""
    tool = requires("fail2ban-regex", "fail2ban")

    def found(log: str, mode: str) -> Counter[str]:
        file = tmp_path / "log"
        file.write_text(log, encoding="utf-8")
        call = [tool, "-o", "<ip> <time>", str(file), f"{FILTER}[mode={mode}]"]
        said = subprocess.run(call, capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in said.splitlines() if line]
        assert all(abs(float(when) - time.time()) < 600 for _, when in rows)  # the time of the line, in UTC
        return Counter(address for address, _ in rows)

    return found


class Writing:
    """A gateway that writes into a file, in this format and with these limits for guesses."""

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        config = folder / "gateway.yaml"
        config.write_text(json.dumps(settings))
        self._log = folder / "gateway.log"
        with self._log.open("wb") as log:
            call = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
            self._process = subprocess.Popen(call, stderr=log)
        [self._port] = self._wait_for(r"listening\b.*pop3://127\.0\.0\.1:(\d+)", 1)

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def guess(self, name: str, failures: int) -> None:
        """Until the log has so many. The answer, which comes late, is not waited for."""
        with RawClient(int(self._port), source=STRANGER) as client:
            client.ask("AUTH PLAIN")
            client.send(base64.b64encode(f"\0{name}\0wrong".encode()) + b"\r\n")
            self._wait_for(FAILURE, failures)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait_for(self, pattern: str, count: int) -> list[str]:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if len(found := re.findall(pattern, self.log, re.MULTILINE)) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"not {count} times {pattern} in:\n{self.log}")


@pytest.fixture(params=["json", "console"])
def start(
    request: pytest.FixtureRequest, dovecot: Dovecot, certificates: Certificates, tmp_path: Path
) -> Iterator[Callable[..., Writing]]:
    started: list[Writing] = []

    def begin(**guesses: int) -> Writing:
        more = {"log": {"format": request.param}, "limits": {"guesses": guesses}}
        started.append(Writing(settings_for(dovecot, certificates, tmp_path, **more), tmp_path))
        return started[-1]

    yield begin
    for gateway in started:
        gateway.kill()


def test_every_wrong_password_is_found_and_no_name_forges_an_address(
    start: Callable[..., Writing], find: Find
) -> None:
    gateway = start(per_address=0)
    for number, name in enumerate(NAMES, 1):
        gateway.guess(name, number)
    assert find(gateway.log, "guesses") == {STRANGER: len(NAMES)}
    assert find(gateway.log, "lockout") == {}
    in_syslog = "".join(f"Nov  4 03:26:00 pop pop3-gateway[7]: {line}\n" for line in gateway.log.splitlines())
    assert find(in_syslog, "guesses") == {STRANGER: len(NAMES)}


def test_whom_the_gateway_locks_out_is_found_once(start: Callable[..., Writing], find: Find) -> None:
    gateway = start(per_address=5, per_account=0)
    for number in range(1, 10):
        gateway.guess(f"ann {number}", number)
    assert find(gateway.log, "lockout") == {STRANGER: 1}
    assert find(gateway.log, "guesses") == {STRANGER: 5}


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    ("event", "mode", "expected"),
    [
        (AddressLockedOut("2001:db8:1:2::/64", 900), "lockout", "2001:db8:1:2::/64"),
        (LoginFailed("ann", "2001:db8::1", "AUTH", "no"), "guesses", "2001:db8::1"),
        (LoginFailed("ann", "192.0.2.1", "SYS/TEMP", f'", {AS_JSON} {AS_TEXT}'), "guesses", None),
        (AccountLockedOut("ann", "192.0.2.1", "from wherever it is not known", 900), "lockout", None),
        (LoggedIn(f'x", {AS_JSON} {AS_TEXT}', "192.0.2.1", "TLSv1.3", 1, 2), "guesses", None),
    ],
)
def test_what_a_worker_writes(find: Find, event: Event, mode: str, expected: str | None, form: str) -> None:
    written = io.StringIO()

    def write() -> None:
        session_id.set("ab12cd")
        Log("info", form, written, worker=3).emit(event)

    copy_context().run(write)
    assert find(written.getvalue(), mode) == ({expected: 1} if expected else {})
