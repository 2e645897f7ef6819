"""Dovecot as the server behind the gateway: a real one, in a folder of its own, without privileges."""

import base64
import contextlib
import grp
import hashlib
import imaplib
import itertools
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tests.servers.tls import Certificates
from tests.servers.upstream import Stored

# What Dovecot 2.3 lists after the login; a server can be told to list less: see ``without``.
CAPABILITY = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS "
    "THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS "
    "LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS "
    "BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY"
)

START_SECONDS = 20.0
GREETING_SECONDS = 1.0
GRACE_SECONDS = 1.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.005
PORT_ATTEMPTS = 5
UIDS_A_COMMAND = 1000
SHARED_MEMORY_OCTETS = 2**30

# For Dovecot 2.3. As root all of it runs as nobody: Dovecot gives root no mail, and one set-up does for both.
CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
auth_verbose = yes
login_greeting = Dovecot ready in {folder}.
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
protocols = imap
listen = {address}
mail_location = maildir:~/Maildir
# Nothing here has to outlive the machine.
mail_fsync = never
mail_max_userip_connections = 10000
imap_capability = {capability}

ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem

auth_mechanisms = {auth_mechanisms}
disable_plaintext_auth = {disable_plaintext_auth}
auth_failure_delay = {auth_failure_delay}
# Any character, and upper case stays: the names of users are up to the test.
auth_username_chars =
auth_username_format = %u
passdb {{
  driver = dict
  args = {folder}/passdb.conf
}}
{after_passdb}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%{{sha256:user}}
}}

service anvil {{
  chroot =
  # Nobody there to count failures by address: they would slow down all tests after the first bad password.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service auth {{
  client_limit = 3000
}}
service imap {{
  # To start the process takes longer than most of what a test does with it.
  service_count = 1000
}}
{extra}
"""

# A delay of 0 seconds is half a second, unless the last passdb that was asked says that it wants none.
REFUSE_AT_ONCE = """\
passdb {
  driver = static
  args = nopassword=y nodelay=y
  result_success = return-fail
}"""

# One file for each user, named by the hash of the name: a passwd-file has no way to write a colon in one.
PASSDB = """\
uri = fs:posix:prefix={folder}/users/
key passdb {{
  key = %{{sha256:user}}
  format = json
}}
passdb_objects = passdb
"""


def find_program(name: str) -> str | None:
    """The program's path; a server's folder is seldom in an ordinary user's PATH."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin")))


def without(*names: str) -> str:
    """For ``capability``: what Dovecot has, with these left out of the list (they still work)."""
    return " ".join(name for name in CAPABILITY.split() if name not in names)


def processes(group: int) -> set[int]:
    """The process group's members that still run, zombies left out."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue  # ended in the meantime
        state, _, number = text.rpartition(")")[2].split()[:3]
        if int(number) == group and state != "Z":
            found.add(int(path.parent.name))
    return found


def as_shown(octets: bytes) -> bytes:
    """What Dovecot makes of a stored message when it shows it over IMAP."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", octets).replace(b"\0", b"\x80")


@contextlib.contextmanager
def leaving(client: imaplib.IMAP4) -> Iterator[imaplib.IMAP4]:
    """Close the client in the end; its own context manager leaks the socket when the server went first."""
    try:
        yield client
    finally:
        try:
            client.logout()
        except (imaplib.IMAP4.abort, OSError):
            client.shutdown()


class Dovecot:
    """An IMAP server to put behind the gateway; implements ``Upstream``.

    With ``disable_plaintext_auth`` it listens on 127.0.0.2, because Dovecot takes a connection between
    equal addresses for a secure one. ``extra`` is appended to its configuration (mail has to stay in
    Maildir++, where ``deliver`` puts it).
    """

    _stamps = itertools.count(time.time_ns() // 1000)

    def __init__(
        self,
        certificates: Certificates,
        *,
        auth_mechanisms: str = "plain login",
        capability: str = "",
        disable_plaintext_auth: bool = False,
        auth_failure_delay: int = 0,
        extra: str = "",
    ) -> None:
        program = find_program("dovecot")
        if program is None:
            raise FileNotFoundError("no dovecot on this machine")
        self._program = program
        self._mechanisms = auth_mechanisms.lower().split()
        self._only_tls = disable_plaintext_auth
        self._fields = {} if auth_failure_delay else {"nodelay": "y"}
        self._passwords: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._last_log = ""
        self._drops = os.geteuid() == 0
        self._account = pwd.getpwnam("nobody") if self._drops else pwd.getpwuid(os.geteuid())
        self._address = "127.0.0.2" if disable_plaintext_auth else "127.0.0.1"
        self.host = self._address if disable_plaintext_auth else "localhost"
        self.ca_file: Path | None = certificates.ca_file
        self.imap_port: int
        self.imaps_port: int | None
        # Not in pytest's folder: another user could not enter that, and a UNIX socket's path has to be short.
        self._folder = Path(tempfile.mkdtemp(prefix="dovecot-", dir=_fastest_place()))
        for name in ("users", "mail"):
            (self._folder / name).mkdir()
        shutil.copyfile(certificates.cert_file, self._folder / "cert.pem")
        shutil.copyfile(certificates.key_file, self._folder / "key.pem")
        (self._folder / "passdb.conf").write_text(PASSDB.format(folder=self._folder))
        for path in (self._folder, *self._folder.iterdir()):
            self._own(path)
        options = {
            "auth_mechanisms": auth_mechanisms,
            "capability": capability,
            "disable_plaintext_auth": "yes" if disable_plaintext_auth else "no",
            "auth_failure_delay": f"{auth_failure_delay} s",
            "after_passdb": "" if auth_failure_delay else REFUSE_AT_ONCE,
            "extra": extra,
        }
        try:
            self._first_start(options)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "Dovecot":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Accounts and mail

    def add_user(self, name: str, password: str) -> None:
        """Make an account; a second time: change its password."""
        encoded = base64.b64encode(password.encode()).decode()
        path = self._folder / "users" / _digest(name)
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"password": f"{{PLAIN.b64}}{encoded}", **self._fields}))
        self._own(new)
        new.replace(path)
        self._passwords[name] = password

    def deliver(self, user: str, messages: Sequence[bytes], folder: str = "INBOX") -> list[int]:
        """Write the files of the Maildir: no IMAP client sends every octet just as it is, nor as fast."""
        with self.client(user) as client:
            first = _uid_next(client, folder)
            maildir = self._maildir(user, folder)
            names = [self._write(maildir, octets) for octets in messages]
            _select(client, folder, readonly=True)
            found = _fetch(client, f"{first}:*", "(X-GUID)") if names else []
        # Dovecot's GUID of a message is the name of its file.
        uids = {
            match["guid"].decode(): int(match["uid"])
            for item in found
            if isinstance(item, bytes)
            and (match := re.search(rb"\(UID (?P<uid>\d+) X-GUID (?P<guid>\S+)\)", item))
        }
        return [uids[name] for name in names]

    def messages(self, user: str, folder: str = "INBOX") -> list[Stored]:
        r"""Show the folder without touching it; \Recent is left out, which tells of sessions, not of mail."""
        with self.client(user) as client:
            _select(client, folder, readonly=True)
            return sorted(_parse(_fetch(client, "1:*", "(UID FLAGS BODY.PEEK[])")), key=lambda stored: stored.uid)

    def uid_validity(self, user: str, folder: str = "INBOX") -> int:
        with self.client(user) as client:
            _select(client, folder, readonly=True)
            return _number(client, "UIDVALIDITY")

    def flag(self, user: str, uids: Sequence[int], *flags: str, folder: str = "INBOX") -> None:
        with self.client(user) as client:
            _select(client, folder)
            _store(client, uids, flags)

    def expunge(self, user: str, uids: Sequence[int], folder: str = "INBOX") -> None:
        with self.client(user) as client:
            _select(client, folder)
            _store(client, uids, [r"\Deleted"])
            for uid_set in _uid_sets(uids):
                _ok(client.uid("EXPUNGE", uid_set))

    @contextlib.contextmanager
    def client(self, user: str) -> Iterator[imaplib.IMAP4]:
        """Log in as another client of this user, which shares no code with the gateway."""
        with leaving(self._connect()) as client:
            self._log_in(client, user, self._passwords[user])
            yield client

    # Start and stop

    @property
    def process_group(self) -> int | None:
        """The number that all its processes share while it is up."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> str:
        """What Dovecot logged so far; after ``stop`` too."""
        texts = [path.read_text(errors="replace") for path in self._logs() if path.exists()]
        return "".join(texts) or self._last_log

    def up(self) -> None:
        """Serve again after ``down``, at the same ports, with the same mail."""
        if self._process is not None:
            return
        with open(self._folder / "stderr", "ab") as stderr:
            self._process = subprocess.Popen(
                [self._program, "-F", "-c", str(self._folder / "dovecot.conf")],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                user=self._account.pw_uid if self._drops else None,
                group=self._account.pw_gid if self._drops else None,
                extra_groups=[] if self._drops else None,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if _ended(self._process) or time.monotonic() > deadline:
                self.down()
                raise RuntimeError(f"Dovecot did not start:\n{self.log}")
            time.sleep(POLL_SECONDS)

    def down(self) -> None:
        """Stop serving, and keep the mail for ``up``."""
        process, self._process = self._process, None
        if process is None:
            return
        # All at once: the master would take a second. Some masters then wait for ever, which nobody needs.
        os.killpg(process.pid, signal.SIGTERM)
        _wait(lambda: processes(process.pid) <= {process.pid}, GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
        ended = _wait(lambda: not processes(process.pid), STOP_SECONDS)
        # Not before: as long as the leader is a zombie nobody else can get the group's number.
        process.wait()
        if not ended:
            raise RuntimeError(f"Dovecot does not end:\n{self.log}")

    def stop(self) -> None:
        try:
            self.down()
        finally:
            self._last_log = self.log
            shutil.rmtree(self._folder, ignore_errors=True)

    def _first_start(self, options: dict[str, str]) -> None:
        """Start at ports that were free a moment ago; when somebody else was faster, at others."""
        for attempt in itertools.count(1):
            self.imap_port, self.imaps_port = _free_ports(self._address, 2)
            text = CONFIGURATION.format(
                folder=self._folder,
                address=self._address,
                user=self._account.pw_name,
                group=grp.getgrgid(self._account.pw_gid).gr_name,
                uid=self._account.pw_uid,
                gid=self._account.pw_gid,
                imap_port=self.imap_port,
                imaps_port=self.imaps_port,
                **options,
            )
            (self._folder / "dovecot.conf").write_text(text)
            self._own(self._folder / "dovecot.conf")
            try:
                self.up()
            except RuntimeError:
                if attempt == PORT_ATTEMPTS or "Address already in use" not in self.log:
                    raise
                for path in self._logs():
                    path.unlink(missing_ok=True)
            else:
                return

    def _answers(self) -> bool:
        """Whether this very Dovecot greets, and not another program that took the port."""
        try:
            with (
                socket.create_connection((self._address, self.imap_port), GREETING_SECONDS) as connection,
                connection.makefile("rb") as file,
            ):
                return str(self._folder).encode() in file.readline()
        except OSError:
            return False

    def _logs(self) -> tuple[Path, Path]:
        return self._folder / "stderr", self._folder / "log"

    def _own(self, path: Path | str) -> None:
        """Give a file that root made to the account that Dovecot runs as."""
        if self._drops:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _maildir(self, user: str, folder: str) -> str:
        inbox = self._folder / "mail" / _digest(user) / "Maildir"
        return str(inbox if folder.upper() == "INBOX" else inbox / f".{_utf7(folder)}")

    def _write(self, maildir: str, octets: bytes) -> str:
        """As an MTA does, so that nobody sees half a file; Dovecot numbers them by the time in their names."""
        seconds, microseconds = divmod(next(self._stamps), 1_000_000)
        name = f"{seconds}.M{microseconds:06d}P{os.getpid()}.test"
        path = f"{maildir}/tmp/{name}"
        with open(path, "wb") as file:
            file.write(octets)
        self._own(path)
        os.rename(path, f"{maildir}/new/{name}")
        return name

    def _connect(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4(self.host, self.imap_port)
        # imaplib writes piece by piece: 40 ms each, were the pieces to wait for an acknowledgement.
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._only_tls:
            client.starttls(ssl.create_default_context(cafile=self.ca_file))
        return client

    def _log_in(self, client: imaplib.IMAP4, user: str, password: str) -> None:
        """By a mechanism, which carries any octet; imaplib's LOGIN knows ASCII only."""
        if "plain" in self._mechanisms:
            _ok(client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()))
        elif "login" in self._mechanisms:
            answers = iter([user.encode(), password.encode()])
            _ok(client.authenticate("LOGIN", lambda _: next(answers)))
        else:
            _ok(client.login_cram_md5(user, password))


def _fastest_place() -> Path | None:
    """In memory, where there is room: thousands of small files take a disk ten times as long."""
    place = Path("/dev/shm")
    if not place.is_dir() or not os.access(place, os.W_OK):
        return None
    return place if shutil.disk_usage(place).free > SHARED_MEMORY_OCTETS else None


def _digest(user: str) -> str:
    return hashlib.sha256(user.encode()).hexdigest()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _free_ports(address: str, count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((address, 0))
        return [one.getsockname()[1] for one in sockets]


# The independent client


def _ok(answer: tuple[str, Sequence[object]]) -> Sequence[object]:
    status, data = answer
    if status != "OK":
        raise AssertionError(f"the server says {status}: {data!r:.500}")
    return data


def _select(client: imaplib.IMAP4, folder: str, *, readonly: bool = False) -> None:
    _ok(client.select(_quoted(folder), readonly))


def _uid_next(client: imaplib.IMAP4, folder: str) -> int:
    """Open the folder, and make it when it is not there."""
    if client.select(_quoted(folder), readonly=True)[0] != "OK":
        _ok(client.create(_quoted(folder)))
        _select(client, folder, readonly=True)
    return _number(client, "UIDNEXT")


def _number(client: imaplib.IMAP4, code: str) -> int:
    return int(client.response(code)[1][0])


def _fetch(client: imaplib.IMAP4, uids: str, items: str) -> Sequence[object]:
    return _ok(client.uid("FETCH", uids, items))


def _parse(items: Iterable[object]) -> Iterator[Stored]:
    for item in items:
        if isinstance(item, tuple):
            head, octets = item
            match = re.search(rb"\(UID (?P<uid>\d+) FLAGS \((?P<flags>[^)]*)\) BODY\[\] ", head)
            if match is None:
                raise AssertionError(f"not what was asked for: {head!r}")
            flags = frozenset(match["flags"].decode().split()) - {r"\Recent"}
            yield Stored(int(match["uid"]), flags, octets)


def _store(client: imaplib.IMAP4, uids: Sequence[int], flags: Iterable[str]) -> None:
    for uid_set in _uid_sets(uids):
        _ok(client.uid("STORE", uid_set, "+FLAGS.SILENT", f"({' '.join(flags)})"))


def _uid_sets(uids: Sequence[int]) -> Iterator[str]:
    """A command's line must not be too long."""
    for begin in range(0, len(uids), UIDS_A_COMMAND):
        yield ",".join(map(str, uids[begin : begin + UIDS_A_COMMAND]))


def _quoted(folder: str) -> str:
    escaped = _utf7(folder).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _utf7(folder: str) -> str:
    """Modified UTF-7, in which IMAP and Maildir++ write the names of folders (RFC 3501, 5.1.3)."""

    def shifted(match: re.Match[str]) -> str:
        encoded = base64.b64encode(match[0].encode("utf-16-be"), b"+,").decode().rstrip("=")
        return f"&{encoded}-"

    return re.sub(r"[^\x20-\x7e]+", shifted, folder.replace("&", "&-"))
