"""Courier IMAP as the server behind the gateway: a real one, in a folder of its own. It takes root to start."""

import contextlib
import re
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.daemon import Daemon
from tests.servers.guests import Questions, needs_root, unpacked
from tests.servers.imap_client import select, select_or_create
from tests.servers.machine import processes
from tests.servers.maildir import digest, drop
from tests.skipping import skip_unless_ci

# As Debian's /etc/courier/imapd has it; AUTH=PLAIN it has with TLS only, but imaplib's LOGIN knows no UTF-8.
CAPABILITY = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"

SETTINGS = {
    "PATH": "/usr/bin:/bin:/usr/sbin",
    "IMAP_CAPABILITY": f"{CAPABILITY} AUTH=PLAIN",
    "IMAP_CAPABILITY_TLS": f"{CAPABILITY} AUTH=PLAIN",
    "IMAP_KEYWORDS": "1",
    "IMAP_ACL": "1",
    "IMAP_IDLE_TIMEOUT": "60",
    "IMAP_MAILBOX_SANITY_CHECK": "1",
    "IMAP_USELOCKS": "1",
    "IMAP_ENHANCEDIDLE": "0",
    "IMAP_TRASHFOLDERNAME": "Trash",
    "IMAP_EMPTYTRASH": "Trash:7",
    "IMAP_MOVE_EXPUNGE_TO_TRASH": "0",
    "IMAP_STARTTLS": "YES",
    "IMAP_TLS_REQUIRED": "0",
    "COURIERTLS": "/usr/bin/couriertls",
    "TLS_VERIFYPEER": "NONE",
}

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child")

# Courier's login asks at a fixed place below /run who the user is: for these processes that is a folder of ours.
# Then a server for each port, which ends when the other does.
SCRIPT = """\
mount --bind "$FOLDER/run" /run || exit
serve() {{
    port=$1
    shift
    exec /usr/sbin/couriertcpd -address={address} -maxprocs=1000 -maxperip=1000 -nodnslookup -noidentlookup \\
        "$port" "$@" "$CONTENT/usr/lib/courier/courier/imaplogin" "$CONTENT/usr/bin/imapd" Maildir
}}
export IMAP_TLS=1
serve {imaps_port} /usr/bin/couriertls -server -tcpd &
unset IMAP_TLS
serve {imap_port}
"""


def as_shown(octets: bytes) -> bytes:
    """What Courier makes of a message: a CR that ends it is lost, for Courier waits to see what follows it."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", octets).removesuffix(b"\r")


class Courier(Daemon):
    """Courier IMAP with the tests as its authdaemond."""

    name = "Courier"
    account = "nobody"

    def _programs(self) -> None:
        needs_root(self.name)
        self._content = unpacked("courier-imap", "courier-base")
        allowed = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True)
        if allowed.returncode:
            skip_unless_ci(
                f"Courier needs namespaces (in a container: --cap-add SYS_ADMIN): {allowed.stderr.strip()}"
            )

    def _prepare(self) -> None:
        self._folder.chmod(0o755)  # it begins TLS as yet another user
        asked = self._folder / "run/courier/authdaemon"
        asked.mkdir(parents=True)
        (self._folder / "mail").mkdir()
        questions = Questions(asked / "socket", self._answer)
        self._resources.enter_context(contextlib.closing(questions))

    def _configure(self) -> None:
        text = SCRIPT.format(address=self.address, imap_port=self.imap_port, imaps_port=self.imaps_port)
        (self._folder / "start").write_text(text)

    def _start(self, output: int) -> subprocess.Popen[bytes]:
        folder = str(self._folder)
        self._first: int | None = None
        return subprocess.Popen(
            [*NAMESPACES, "sh", f"{folder}/start"],
            env={
                **SETTINGS,
                "FOLDER": folder,
                "CONTENT": str(self._content),
                "TLS_CERTFILE": f"{folder}/both.pem",
            },
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def _running(self, group: int) -> set[int]:
        """couriertcpd leaves the group for one of its own; all end with the first process of their namespace."""
        if self._first is None:
            with contextlib.suppress(OSError):  # it never started
                children = Path(f"/proc/{group}/task/{group}/children").read_text().split()
                self._first = int(children[0]) if children else None
        return processes(group) | (processes(self._first) if self._first else set())

    def _greets_as(self) -> bytes:
        return b"Courier-IMAP ready"

    def path(self, folder: str) -> str:
        return folder if folder.upper() == "INBOX" or folder.startswith("INBOX.") else f"INBOX.{folder}"

    def add_user(self, name: str, password: str) -> None:
        """Make an account; a second time: change its password."""
        maildir = self._maildir(name)
        for path in (maildir.parent, maildir, *(maildir / part for part in ("cur", "new", "tmp"))):
            path.mkdir(exist_ok=True)
            self._own(path)
        self._passwords[name] = password

    def deliver(self, user: str, messages: Sequence[bytes], folder: str = "INBOX") -> list[int]:
        """Write the files of the Maildir, with Unix' ends of line, and look up their UIDs."""
        path = self.path(folder)
        with self.client(user) as client:
            select_or_create(client, path)
            maildir = self._maildir(user)
            if path.upper() != "INBOX":
                maildir = maildir / path.removeprefix("INBOX")
            names = [drop(maildir, octets.replace(b"\r\n", b"\n"), self._own) for octets in messages]
            select(client, path)  # not read-only: then it gives no UIDs
        rows = (maildir / "courierimapuiddb").read_text().splitlines()[1:]
        uids = {name: int(uid) for uid, name in (row.split(" ", 1) for row in rows)}
        return [uids[name] for name in names]

    def _maildir(self, user: str) -> Path:
        return self._folder / "mail" / digest(user) / "Maildir"

    def _answer(self, question: socket.socket) -> None:
        """authdaemond's protocol: AUTH and a length, then so much: service, way, name, password, each a line."""
        with question.makefile("rb") as file:
            while (line := file.readline()).startswith(b"TCPREMOTEIP="):
                pass
            verb, _, length = line.decode().partition(" ")
            fields = file.read(int(length)).decode().split("\n") if verb == "AUTH" else []
        match fields:
            case [_, "login", name, password, *_] if self._passwords.get(name) == password:
                account, maildir = self._account, self._maildir(name)
                question.sendall(
                    f"UID={account.pw_uid}\nGID={account.pw_gid}\nADDRESS={maildir.parent.name}\n"
                    f"HOME={maildir.parent}\nMAILDIR={maildir}\n.\n".encode()
                )
            case _:
                question.sendall(b"FAIL\n")
