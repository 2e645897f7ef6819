"""What all real servers behind the gateway have in common: one command starts them, in a folder of their own."""

import contextlib
import imaplib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from tests.servers import imap_client
from tests.servers.machine import POLL_SECONDS, ended, fastest_place, free_ports, is_taken, processes, wait
from tests.servers.tls import Certificates
from tests.servers.upstream import Stored

START_SECONDS = 20.0
GRACE_SECONDS = 1.0
STOP_SECONDS = 10.0
PORT_ATTEMPTS = 5


class Daemon(ABC):
    """A server that is stopped with all its processes; an ``Upstream``."""

    name: str
    account: str  # that it runs as, where root starts it
    host = "localhost"
    address = "127.0.0.1"
    greeting_seconds = 5.0

    def __init__(self, certificates: Certificates) -> None:
        self._programs()
        self._passwords: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._last_log = ""
        self._resources = contextlib.ExitStack()
        self._by_root = os.geteuid() == 0
        self._account = pwd.getpwnam(self.account) if self._by_root else pwd.getpwuid(os.geteuid())
        self.ca_file: Path | None = certificates.ca_file
        self.imap_port: int
        self.imaps_port: int | None
        # Not in pytest's folder: another user could not enter that, and a UNIX socket's path has to be short.
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.name.lower()}-", dir=fastest_place()))
        try:
            self._own(self._folder)
            self._write(
                self._folder / "both.pem", certificates.key_file.read_bytes() + certificates.cert_file.read_bytes()
            )
            self._prepare()
            self._first_start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # What differs

    @abstractmethod
    def _programs(self) -> None:
        """Find them, or do not start."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make what stays the same at every start."""

    @abstractmethod
    def _configure(self) -> None:
        """Write down the ports."""

    @abstractmethod
    def _start(self, output: int) -> subprocess.Popen[bytes]:
        """Leave it in the foreground, as the leader of a new session."""

    @abstractmethod
    def _greets_as(self) -> bytes:
        """What no other server's greeting has in it."""

    # Accounts and mail

    @abstractmethod
    def add_user(self, name: str, password: str) -> None: ...

    @abstractmethod
    def deliver(self, user: str, messages: Sequence[bytes], folder: str = "INBOX") -> list[int]: ...

    def path(self, folder: str) -> str:
        """What a folder is called over IMAP."""
        return folder

    def messages(self, user: str, folder: str = "INBOX") -> list[Stored]:
        """Show the folder without touching it."""
        with self.client(user) as client:
            imap_client.select(client, self.path(folder), readonly=True)
            return imap_client.stored(client)

    def uid_validity(self, user: str, folder: str = "INBOX") -> int:
        with self.client(user) as client:
            imap_client.select(client, self.path(folder), readonly=True)
            return imap_client.number(client, "UIDVALIDITY")

    def flag(self, user: str, uids: Sequence[int], *flags: str, folder: str = "INBOX") -> None:
        with self.client(user) as client:
            imap_client.select(client, self.path(folder))
            imap_client.store(client, uids, flags)

    def expunge(self, user: str, uids: Sequence[int], folder: str = "INBOX") -> None:
        with self.client(user) as client:
            imap_client.select(client, self.path(folder))
            imap_client.expunge(client, uids)

    @contextlib.contextmanager
    def client(self, user: str) -> Iterator[imaplib.IMAP4]:
        """Log in as another client of this user."""
        with imap_client.leaving(imaplib.IMAP4(self.host, self.imap_port)) as client:
            # imaplib writes piece by piece: 40 ms each, were the pieces to wait for an acknowledgement.
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._log_in(client, user, self._password(user))
            yield client

    def _log_in(self, client: imaplib.IMAP4, user: str, password: str) -> None:
        """By a mechanism, which carries any octet; imaplib's LOGIN knows ASCII only."""
        imap_client.ok(client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()))

    def _password(self, user: str) -> str:
        return self._passwords[user]

    # Start and stop

    @property
    def process_group(self) -> int | None:
        """The number that all its processes share while it is up."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> str:
        """What it said so far; after ``stop`` too."""
        texts = [path.read_text(errors="replace") for path in self._logs() if path.exists()]
        return "".join(texts) or self._last_log

    def up(self) -> None:
        """Serve again after ``down``, at the same ports, with the same mail."""
        if self._process is not None:
            return
        with open(self._folder / "output", "ab") as output:
            self._process = self._start(output.fileno())
        deadline = time.monotonic() + START_SECONDS
        while not (self._answers(self.imap_port) and self._listens(self.imaps_port)):
            if ended(self._process) or time.monotonic() > deadline:
                self.down()
                raise RuntimeError(f"{self.name} did not start:\n{self.log}")
            time.sleep(POLL_SECONDS)

    def down(self) -> None:
        """Stop serving, and keep the mail for ``up``."""
        process, self._process = self._process, None
        if process is None:
            return
        # All at once: a master would take a second. Some masters then wait for ever, which nobody needs.
        os.killpg(process.pid, signal.SIGTERM)
        wait(lambda: self._running(process.pid) <= {process.pid}, GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
        is_down = wait(lambda: not self._running(process.pid), STOP_SECONDS)
        # Not before: as long as the leader is a zombie nobody else can get the group's number.
        process.wait()
        if not is_down:
            raise RuntimeError(f"{self.name} does not end:\n{self.log}")

    def stop(self) -> None:
        try:
            self.down()
        finally:
            self._resources.close()
            self._last_log = self.log
            shutil.rmtree(self._folder, ignore_errors=True)

    def _first_start(self) -> None:
        """Start at ports that were free a moment ago; when somebody else was faster, at others."""
        for attempt in itertools.count(1):
            self.imap_port, self.imaps_port = free_ports(self.address, 2)
            self._configure()
            try:
                self.up()
            except RuntimeError:
                if attempt == PORT_ATTEMPTS or not self._lost_a_port():
                    raise
                for path in self._logs():
                    path.unlink(missing_ok=True)
            else:
                return

    def _lost_a_port(self) -> bool:
        """Whether it did not start because another program was faster."""
        return any(is_taken(self.address, port) for port in (self.imap_port, self.imaps_port or 0))

    def _running(self, group: int) -> set[int]:
        """The processes of the server that was started as the leader of this group."""
        return processes(group)

    def _answers(self, port: int) -> bool:
        """Whether this very server greets, and not another program that took the port."""
        try:
            with (
                socket.create_connection((self.address, port), self.greeting_seconds) as connection,
                connection.makefile("rb") as file,
            ):
                return self._greets_as() in file.readline()
        except OSError:
            return False

    def _listens(self, port: int | None) -> bool:
        try:
            socket.create_connection((self.address, port or 0), self.greeting_seconds).close()
        except OSError:
            return False
        return True

    # Files

    def _logs(self) -> tuple[Path, ...]:
        return (self._folder / "output",)

    def _own(self, path: Path | str) -> None:
        """Give a file that root made to the account that the server runs as."""
        if self._by_root:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _write(self, path: Path, octets: bytes) -> None:
        path.write_bytes(octets)
        self._own(path)

    def _spawn(self, *command: str | Path, output: int) -> subprocess.Popen[bytes]:
        """Start a program as the server's account, in the folder."""
        return subprocess.Popen(
            command,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=self._account.pw_uid if self._by_root else None,
            group=self._account.pw_gid if self._by_root else None,
            extra_groups=[] if self._by_root else None,
        )
