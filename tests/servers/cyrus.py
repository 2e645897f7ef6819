"""Cyrus IMAP as the server behind the gateway: a real one, in a folder of its own. It takes root to start.

What it has in common with Courier is here, too: both run as another user, leave it to another process whether a
password is right (here: to the tests), and cannot be installed next to Dovecot, because Debian allows one IMAP
server a machine. The one package that conflicts is therefore unpacked into a cache, for these tests only; what it
needs is installed (tests/debian-packages.txt).
"""

import contextlib
import imaplib
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from tests.servers.dovecot import (
    _ended,
    _fastest_place,
    _fetch,
    _free_ports,
    _number,
    _ok,
    _quoted,
    _select,
    _store,
    _uid_next,
    _uid_sets,
    _utf7,
    _wait,
    leaving,
    processes,
)
from tests.servers.tls import Certificates
from tests.servers.upstream import Stored

ADDRESS = "127.0.0.1"
START_SECONDS = 20.0
GREETING_SECONDS = 5.0
QUESTION_SECONDS = 5.0
GRACE_SECONDS = 1.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.005
PORT_ATTEMPTS = 5
DOWNLOAD_SECONDS = 60.0
# Root's, and not in root's home: other users run what is in there.
CACHE = Path("/var/cache/pop3-gateway-tests")


# Programs


def unavailable(text: str) -> NoReturn:
    """Skip the test, but never where nobody would notice: in CI."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(text)
    pytest.skip(text)


def unpacked(package: str, needs: str) -> Path:
    """The content of a package that cannot be installed here; what it needs is."""
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", needs], capture_output=True, text=True)
    if asked.returncode:
        unavailable(f"no {needs} on this machine: apt-get install {needs}")
    place = CACHE / f"{package}-for-{needs}-{asked.stdout}"
    if place.is_dir():
        return place
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = ["apt-get", "download", "-q", package]
        got = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
        archives = list(Path(folder).glob("*.deb"))
        if not archives:
            unavailable(f"no {package} for these tests: '{' '.join(command)}' says {got.stderr.strip()}")
        subprocess.run(["dpkg-deb", "-x", archives[0], f"{folder}/content"], check=True)
        with contextlib.suppress(OSError):  # another process of the tests was faster
            os.rename(f"{folder}/content", place)
    return place


# Passwords


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


def _taken(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((ADDRESS, port))
        except OSError:
            return True
    return False


def _shown(items: Iterable[object]) -> Iterator[Stored]:
    """What FETCH (UID FLAGS BODY.PEEK[]) answered, whatever comes first."""
    for item in items:
        if isinstance(item, tuple):
            head, octets = item
            uid, flags = re.search(rb"UID (\d+)", head), re.search(rb"FLAGS \(([^)]*)\)", head)
            if uid is None or flags is None:
                raise AssertionError(f"not what was asked for: {head!r}")
            yield Stored(int(uid[1]), frozenset(flags[1].decode().split()) - {r"\Recent"}, octets)


class Daemon(ABC):
    """A server that starts as root, by one command, and is stopped with all its processes; an ``Upstream``."""

    name: str
    account: str  # that it runs as
    host = "localhost"

    def __init__(self, certificates: Certificates) -> None:
        if os.geteuid() != 0:
            unavailable(f"{self.name} starts as root: run these tests as root, for example in a container")
        self._programs()
        self._passwords: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._last_log = ""
        self._questions: Questions | None = None
        self._account = pwd.getpwnam(self.account)
        self.ca_file: Path | None = certificates.ca_file
        self.imap_port: int
        self.imaps_port: int | None
        # Not in pytest's folder: another user could not enter that, and a UNIX socket's path has to be short.
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.name.lower()}-", dir=_fastest_place()))
        try:
            self._own(self._folder)
            self._folder.chmod(0o755)  # Courier begins TLS as yet another user
            (self._folder / "both.pem").write_bytes(
                certificates.key_file.read_bytes() + certificates.cert_file.read_bytes()
            )
            self._own(self._folder / "both.pem")
            self._prepare()
            self._first_start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # What differs

    @abstractmethod
    def _programs(self) -> None:
        """Find them, or skip."""

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
        r"""Show the folder without touching it; \Recent is left out, which tells of sessions, not of mail."""
        with self.client(user) as client:
            _select(client, self.path(folder), readonly=True)
            if _number(client, "EXISTS") == 0:  # 1:* of nothing is an error to Courier
                return []
            return sorted(_shown(_fetch(client, "1:*", "(UID FLAGS BODY.PEEK[])")), key=lambda stored: stored.uid)

    def uid_validity(self, user: str, folder: str = "INBOX") -> int:
        with self.client(user) as client:
            _select(client, self.path(folder), readonly=True)
            return _number(client, "UIDVALIDITY")

    def flag(self, user: str, uids: Sequence[int], *flags: str, folder: str = "INBOX") -> None:
        with self.client(user) as client:
            _select(client, self.path(folder))
            _store(client, uids, flags)

    def expunge(self, user: str, uids: Sequence[int], folder: str = "INBOX") -> None:
        with self.client(user) as client:
            _select(client, self.path(folder))
            _store(client, uids, [r"\Deleted"])
            for uid_set in _uid_sets(uids):
                _ok(client.uid("EXPUNGE", uid_set))

    @contextlib.contextmanager
    def client(self, user: str) -> Iterator[imaplib.IMAP4]:
        """Log in as another client of this user, which shares no code with the gateway."""
        with leaving(imaplib.IMAP4(self.host, self.imap_port)) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _ok(client.authenticate("PLAIN", lambda _: f"\0{user}\0{self._password(user)}".encode()))
            yield client

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
        path = self._folder / "output"
        return path.read_text(errors="replace") if path.exists() else self._last_log

    def up(self) -> None:
        """Serve again after ``down``, at the same ports, with the same mail."""
        if self._process is not None:
            return
        with open(self._folder / "output", "ab") as output:
            self._process = self._start(output.fileno())
        deadline = time.monotonic() + START_SECONDS
        while not (self._answers(self.imap_port) and self._listens(self.imaps_port)):
            if _ended(self._process) or time.monotonic() > deadline:
                self.down()
                raise RuntimeError(f"{self.name} did not start:\n{self.log}")
            time.sleep(POLL_SECONDS)

    def down(self) -> None:
        """Stop serving, and keep the mail for ``up``."""
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        _wait(lambda: self._running(process.pid) <= {process.pid}, GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
        ended = _wait(lambda: not self._running(process.pid), STOP_SECONDS)
        # Not before: as long as the leader is a zombie nobody else can get the group's number.
        process.wait()
        if not ended:
            raise RuntimeError(f"{self.name} does not end:\n{self.log}")

    def stop(self) -> None:
        try:
            self.down()
        finally:
            if self._questions is not None:
                self._questions.close()
            self._last_log = self.log
            shutil.rmtree(self._folder, ignore_errors=True)

    def _first_start(self) -> None:
        """Start at ports that were free a moment ago; when somebody else was faster, at others."""
        for attempt in itertools.count(1):
            self.imap_port, self.imaps_port = _free_ports(ADDRESS, 2)
            self._configure()
            try:
                self.up()
            except RuntimeError:
                if attempt == PORT_ATTEMPTS or not any(map(_taken, (self.imap_port, self.imaps_port))):
                    raise
                (self._folder / "output").unlink()
            else:
                return

    def _running(self, group: int) -> set[int]:
        """The processes of the server that was started as the leader of this group."""
        return processes(group)

    def _answers(self, port: int) -> bool:
        """Whether this very server greets, and not another program that took the port."""
        try:
            with (
                socket.create_connection((ADDRESS, port), GREETING_SECONDS) as connection,
                connection.makefile("rb") as file,
            ):
                return self._greets_as() in file.readline()
        except OSError:
            return False

    def _listens(self, port: int | None) -> bool:
        try:
            socket.create_connection((ADDRESS, port or 0), GREETING_SECONDS).close()
        except OSError:
            return False
        return True

    def _own(self, path: Path | str) -> None:
        os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _write(self, path: Path, octets: bytes) -> None:
        path.write_bytes(octets)
        self._own(path)


# Cyrus itself

IMAPD_CONF = """\
configdirectory: {folder}/conf
proc_path: {folder}/proc
mboxname_lockpath: {folder}/lock
defaultpartition: default
partition-default: {folder}/spool
servername: {servername}
admins: {admin}
altnamespace: yes
unixhierarchysep: yes
virtdomains: userid
allowplaintext: yes
# Two passwords that are wrong, and a third that is right: no test waits for that.
failedloginpause: 0
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: {folder}/passwords
sasl_mech_list: PLAIN
tls_server_cert: {folder}/both.pem
tls_server_key: {folder}/both.pem
tls_session_timeout: 0
sievedir: {folder}/sieve
"""

CYRUS_CONF = """\
START {{
}}
SERVICES {{
  imap cmd="{imapd} -C {folder}/imapd.conf" listen="{address}:{imap_port}" proto="tcp4" maxchild=1000
  imaps cmd="{imapd} -C {folder}/imapd.conf -s" listen="{address}:{imaps_port}" proto="tcp4" maxchild=1000
}}
EVENTS {{
}}
"""

ADMIN = "admin"
# Names end in mailboxes' names, which Cyrus keeps to these characters; it cuts no dot and no slash out of one.
NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9@.+=_-]*")
PASSWORD_OCTETS = 256  # of a question to saslauthd
FOLDERS = re.compile(r'[^"%*\\]+')


class Cyrus(Daemon):
    """Cyrus IMAP with the tests as its saslauthd, and an administrator of theirs."""

    name = "Cyrus"
    account = "cyrus"

    def _programs(self) -> None:
        content = unpacked("cyrus-imapd", "cyrus-common")
        self._imapd = content / "usr/lib/cyrus/bin/imapd"
        self._library = Path("/usr/lib/cyrus/bin")

    def _prepare(self) -> None:
        for name in ("conf", "proc", "lock", "spool", "sieve"):
            (self._folder / name).mkdir()
            self._own(self._folder / name)
        self._passwords[ADMIN] = "secret of nobody else"
        self._questions = Questions(self._folder / "passwords", self._answer)

    def _configure(self) -> None:
        values = {
            "folder": self._folder,
            "servername": self._folder.name,
            "admin": ADMIN,
            "address": ADDRESS,
            "imapd": self._imapd,
            "imap_port": self.imap_port,
            "imaps_port": self.imaps_port,
        }
        (self._folder / "imapd.conf").write_text(IMAPD_CONF.format(**values))
        (self._folder / "cyrus.conf").write_text(CYRUS_CONF.format(**values))

    def _start(self, output: int) -> subprocess.Popen[bytes]:
        folder = self._folder
        return self._as_cyrus(
            "master",
            "-C",
            f"{folder}/imapd.conf",
            "-M",
            f"{folder}/cyrus.conf",
            "-p",
            f"{folder}/pid",
            "-D",
            output=output,
        )

    def _greets_as(self) -> bytes:
        return self._folder.name.encode()

    def add_user(self, name: str, password: str) -> None:
        name = name.lower()
        if NAMES.fullmatch(name) is None or len(password.encode()) > PASSWORD_OCTETS:
            pytest.skip(f"Cyrus has no user {name!r} with a password of {len(password.encode())} octets")
        if name not in self._passwords:
            with self.client(ADMIN) as client:
                _ok(client.create(_quoted(f"user/{name}")))
        self._passwords[name] = password

    def deliver(self, user: str, messages: Sequence[bytes], folder: str = "INBOX") -> list[int]:
        """As a restored backup comes back: files, then reconstruct. APPEND takes neither NUL nor odd headers."""
        if FOLDERS.fullmatch(folder) is None:
            pytest.skip(f"Cyrus has no folder {folder!r}")
        with self.client(user) as client:
            first = _uid_next(client, folder)
            _select(client, folder, readonly=True)
            place = self._place(client.response("MAILBOXID")[1][0].decode())
        uids = list(range(first, first + len(messages)))
        for uid, octets in zip(uids, messages, strict=True):
            self._write(place / f"{uid}.", octets)
        if uids:
            self._reconstruct(user, folder)
        return uids

    def _place(self, mailbox_id: str) -> Path:
        """Where the files of a mailbox are. The parentheses are imaplib's: it knows no such response."""
        name = mailbox_id.strip("()")
        return self._folder / "spool" / "uuid" / name[0] / name[1] / name

    def _reconstruct(self, user: str, folder: str) -> None:
        name, at, domain = user.lower().partition("@")
        mailbox = f"user/{name}" + ("" if folder.upper() == "INBOX" else f"/{_utf7(folder)}") + at + domain
        with open(self._folder / "reconstructed", "wb") as output:
            process = self._as_cyrus(
                "reconstruct", "-C", f"{self._folder}/imapd.conf", mailbox, output=output.fileno()
            )
            if process.wait():
                raise RuntimeError((self._folder / "reconstructed").read_text())

    def _password(self, user: str) -> str:
        return self._passwords[user.lower()]

    def _as_cyrus(self, program: str, *arguments: str, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self._library / program, *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=self._account.pw_uid,
            group=self._account.pw_gid,
            extra_groups=[],
        )

    def _answer(self, question: socket.socket) -> None:
        """saslauthd's protocol: name, password, service, realm, each with its length before it."""
        with question.makefile("rb") as file:
            fields = [file.read(struct.unpack("!H", file.read(2))[0]).decode() for _ in range(4)]
        name, password, _, realm = fields
        user = f"{name}@{realm}" if realm else name
        right = self._passwords.get(user.lower()) == password
        question.sendall(struct.pack("!H", 2) + (b"OK" if right else b"NO"))
