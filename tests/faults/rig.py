"""A gateway process with a relay between it and its upstream, killed and restarted with the same state folder."""

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from gateway.store import LEDGER_FILE
from tests.faults.relay import Relay
from tests.gateway_process import GatewayProcess
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox
from tests.servers.upstream import Upstream

# Long enough for a healthy upstream on a busy machine, short enough for a test to sit out.
TIMEOUTS = {"connect": 2, "response": 2, "open": 4}
IN_USE_SECONDS = 15.0
BUGS = ("internal error", "Traceback", "never retrieved", "ResourceWarning")


class Rig:
    """The gateway runs from the start; `kill` and `start` are kill -9 and what an init system does then."""

    def __init__(self, upstream: Upstream, folder: Path, timeouts: dict[str, int] = TIMEOUTS) -> None:
        self.relay = Relay(upstream.imap_port)
        self.state_file = folder / "state" / LEDGER_FILE
        self._folder = folder
        self._timeouts = timeouts
        self._starts = itertools.count(1)
        try:
            self.start()
        except BaseException:
            self.relay.stop()
            raise

    def __enter__(self) -> "Rig":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gateway.kill()
        self.relay.stop()
        if error is None:
            self.check_log()

    def start(self) -> None:
        settings = {
            "listen": ["pop3://127.0.0.1:0"],
            "upstream": {"url": f"imap://127.0.0.1:{self.relay.port}?tls=none", "timeouts": self._timeouts},
            "state": str(self._folder / "state"),
            "log": {"format": "json", "level": "info"},
        }
        self.gateway = GatewayProcess(settings, self._folder / f"start-{next(self._starts)}")

    def kill(self) -> None:
        self.gateway.kill()
        self.check_log()

    def check_log(self) -> None:
        """Whatever the upstream does, nothing in the gateway breaks unexpectedly."""
        for words in BUGS:
            assert words not in self.gateway.raw_log, self.gateway.raw_log[-10_000:]

    def client(self) -> RawClient:
        return RawClient(self.gateway.port)

    def log_in(self, mailbox: Mailbox) -> "Session":
        """Healthy: waits for an earlier session of this user that has not ended yet."""
        end = time.monotonic() + IN_USE_SECONDS
        while True:
            client = self.client()
            reply = client.log_in(mailbox)
            if reply.startswith(b"+OK"):
                return Session(client, listing(client))
            client.close()
            if not reply.startswith(b"-ERR [IN-USE]") or time.monotonic() > end:
                raise AssertionError(f"a healthy login got {reply!r}\n{self.gateway.raw_log[-4000:]}")
            time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Shown:
    """A snapshot as a client sees it: sizes and UIDs by number."""

    sizes: dict[int, int]
    uids: dict[int, int]


@dataclass(frozen=True, slots=True)
class Session:
    client: RawClient
    shown: Shown


def listing(client: RawClient) -> Shown:
    sizes = [line.split() for line in client.message("LIST").splitlines()]
    ids = [line.split() for line in client.message("UIDL").splitlines()]
    return Shown(
        {int(number): int(octets) for number, octets in sizes},
        {int(number): int(unique_id[8:], 16) for number, unique_id in ids},
    )
