"""Cyrus IMAP as the server behind the gateway: a real one, in a folder of its own. It takes root to start."""

import contextlib
import re
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.servers.daemon import Daemon
from tests.servers.guests import Questions, needs_root, unpacked
from tests.servers.imap_client import number, ok, quoted, select, select_or_create, utf7

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
        needs_root(self.name)
        content = unpacked("cyrus-imapd", "cyrus-common")
        self._imapd = content / "usr/lib/cyrus/bin/imapd"
        self._library = Path("/usr/lib/cyrus/bin")

    def _prepare(self) -> None:
        for name in ("conf", "proc", "lock", "spool", "sieve"):
            (self._folder / name).mkdir()
            self._own(self._folder / name)
        self._passwords[ADMIN] = "secret of nobody else"
        questions = Questions(self._folder / "passwords", self._answer)
        self._resources.enter_context(contextlib.closing(questions))

    def _configure(self) -> None:
        values = {
            "folder": self._folder,
            "servername": self._folder.name,
            "admin": ADMIN,
            "address": self.address,
            "imapd": self._imapd,
            "imap_port": self.imap_port,
            "imaps_port": self.imaps_port,
        }
        (self._folder / "imapd.conf").write_text(IMAPD_CONF.format(**values))
        (self._folder / "cyrus.conf").write_text(CYRUS_CONF.format(**values))

    def _start(self, output: int) -> subprocess.Popen[bytes]:
        folder = self._folder
        files = ("-C", folder / "imapd.conf", "-M", folder / "cyrus.conf", "-p", folder / "pid")
        return self._spawn(self._library / "master", *files, "-D", output=output)

    def _greets_as(self) -> bytes:
        return self._folder.name.encode()

    def add_user(self, name: str, password: str) -> None:
        name = name.lower()
        if NAMES.fullmatch(name) is None or len(password.encode()) > PASSWORD_OCTETS:
            pytest.skip(f"Cyrus has no user {name!r} with a password of {len(password.encode())} octets")
        if name not in self._passwords:
            with self.client(ADMIN) as client:
                ok(client.create(quoted(f"user/{name}")))
        self._passwords[name] = password

    def deliver(self, user: str, messages: Sequence[bytes], folder: str = "INBOX") -> list[int]:
        """As a restored backup comes back: files, then reconstruct. APPEND takes neither NUL nor odd headers."""
        if FOLDERS.fullmatch(folder) is None:
            pytest.skip(f"Cyrus has no folder {folder!r}")
        with self.client(user) as client:
            select_or_create(client, folder)
            first = number(client, "UIDNEXT")
            select(client, folder, readonly=True)
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
        mailbox = f"user/{name}" + ("" if folder.upper() == "INBOX" else f"/{utf7(folder)}") + at + domain
        with open(self._folder / "reconstructed", "wb") as output:
            program, settings = self._library / "reconstruct", self._folder / "imapd.conf"
            process = self._spawn(program, "-C", settings, mailbox, output=output.fileno())
            if process.wait():
                raise RuntimeError((self._folder / "reconstructed").read_text())

    def _password(self, user: str) -> str:
        return self._passwords[user.lower()]

    def _answer(self, question: socket.socket) -> None:
        """saslauthd's protocol: name, password, service, realm, each with its length before it."""
        with question.makefile("rb") as file:
            fields = [file.read(struct.unpack("!H", file.read(2))[0]).decode() for _ in range(4)]
        name, password, _, realm = fields
        user = f"{name}@{realm}" if realm else name
        right = self._passwords.get(user.lower()) == password
        question.sendall(struct.pack("!H", 2) + (b"OK" if right else b"NO"))
