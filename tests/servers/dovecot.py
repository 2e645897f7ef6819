"""Dovecot as the server behind the gateway: a real one, in a folder of its own, without privileges."""

import base64
import grp
import imaplib
import json
import re
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.servers.daemon import Daemon
from tests.servers.imap_client import fetch, number, ok, select, select_or_create, utf7
from tests.servers.machine import find_program
from tests.servers.maildir import digest, drop
from tests.servers.tls import Certificates

# What Dovecot 2.3 lists after the login; a server can be told to list less: see ``without``.
CAPABILITY = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS "
    "THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS "
    "LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS "
    "BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY"
)

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
ssl_cert = <{folder}/both.pem
ssl_key = <{folder}/both.pem

auth_mechanisms = {auth_mechanisms}
disable_plaintext_auth = {disable_plaintext_auth}
auth_failure_delay = {auth_failure_delay}
# Any character, and upper case stays: the names of users are up to the test.
auth_username_chars =
auth_username_format = %u
{before_passdb}
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

# Whoever comes with a token is the oauth2 passdb's alone.
TOKENS = """\
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
  result_failure = return-fail
}}"""

# One file for each user, named by the hash of the name: a passwd-file has no way to write a colon in one.
PASSDB = """\
uri = fs:posix:prefix={folder}/users/
key passdb {{
  key = %{{sha256:user}}
  format = json
}}
passdb_objects = passdb
"""


def without(*names: str) -> str:
    """For ``capability``: what Dovecot has, with these left out of the list (they still work)."""
    return " ".join(name for name in CAPABILITY.split() if name not in names)


def as_shown(octets: bytes) -> bytes:
    """What Dovecot makes of a stored message when it shows it over IMAP."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", octets).replace(b"\0", b"\x80")


KICK_SECONDS = 10.0


class Dovecot(Daemon):
    """An IMAP server to put behind the gateway.

    With ``disable_plaintext_auth`` it listens on 127.0.0.2, because Dovecot takes a connection between
    equal addresses for a secure one. ``oauth2`` is the configuration of who judges tokens, where XOAUTH2 or
    OAUTHBEARER are among ``auth_mechanisms``; without it a token is the password. ``extra`` is appended to
    its configuration (mail has to stay in Maildir++, where ``deliver`` puts it).
    """

    name = "Dovecot"
    account = "nobody"
    greeting_seconds = 1.0  # it answers at once

    def __init__(
        self,
        certificates: Certificates,
        *,
        auth_mechanisms: str = "plain login",
        capability: str = "",
        disable_plaintext_auth: bool = False,
        auth_failure_delay: int = 0,
        oauth2: str = "",
        extra: str = "",
    ) -> None:
        self._mechanisms = auth_mechanisms.lower().split()
        self._only_tls = disable_plaintext_auth
        self._oauth2 = oauth2
        self._fields = {} if auth_failure_delay else {"nodelay": "y"}
        if disable_plaintext_auth:
            self.host = self.address = "127.0.0.2"
        self._options = {
            "auth_mechanisms": auth_mechanisms,
            "capability": capability,
            "disable_plaintext_auth": "yes" if disable_plaintext_auth else "no",
            "auth_failure_delay": f"{auth_failure_delay} s",
            "after_passdb": "" if auth_failure_delay else REFUSE_AT_ONCE,
            "extra": extra,
        }
        super().__init__(certificates)

    def add_user(self, name: str, password: str) -> None:
        """Make an account; a second time: change its password."""
        encoded = base64.b64encode(password.encode()).decode()
        path = self._folder / "users" / digest(name)
        new = path.with_suffix(".new")
        self._write(new, json.dumps({"password": f"{{PLAIN.b64}}{encoded}", **self._fields}).encode())
        new.replace(path)
        self._passwords[name] = password

    def deliver(self, user: str, messages: Sequence[bytes], folder: str = "INBOX") -> list[int]:
        """Write the files of the Maildir, and ask for their UIDs."""
        with self.client(user) as client:
            select_or_create(client, folder)
            first = number(client, "UIDNEXT")
            maildir = self.maildir(user, folder)
            names = [drop(maildir, octets, self._own) for octets in messages]
            select(client, folder, readonly=True)
            found = fetch(client, f"{first}:*", "(X-GUID)") if names else []
        # Dovecot's GUID of a message is the name of its file.
        uids = {
            match["guid"].decode(): int(match["uid"])
            for item in found
            if isinstance(item, bytes)
            and (match := re.search(rb"\(UID (?P<uid>\d+) X-GUID (?P<guid>\S+)\)", item))
        }
        return [uids[name] for name in names]

    def maildir(self, user: str, folder: str = "INBOX") -> Path:
        """Where the files of a folder are."""
        inbox = self._folder / "mail" / digest(user) / "Maildir"
        return inbox if folder.upper() == "INBOX" else inbox / f".{utf7(folder)}"

    def trust(self, kid: str, public_key: bytes) -> None:
        """Whoever signs tokens with it, where ``oauth2`` has them judged by such keys."""
        folder = self._folder / "keys" / "default" / "RS256"
        folder.mkdir(parents=True, exist_ok=True)
        self._write(folder / kid, public_key)

    def kick(self, user: str) -> None:
        """End this user's connections, with a BYE; there is one at least. They have ended."""
        said = re.compile(rf"imap\({re.escape(user)}\).*: Disconnected: Server shutting down")
        before, end = len(said.findall(self.log)), time.monotonic() + KICK_SECONDS
        command: list[str | Path] = [find_program("doveadm") or "doveadm", "-c", self._folder / "dovecot.conf"]
        subprocess.run([*command, "kick", user], check=True, capture_output=True)
        while len(said.findall(self.log)) == before:
            if time.monotonic() > end:
                raise TimeoutError(f"{user} is still there")
            time.sleep(0.005)

    def _log_in(self, client: imaplib.IMAP4, user: str, password: str) -> None:
        if self._only_tls:
            client.starttls(ssl.create_default_context(cafile=self.ca_file))
        if "plain" in self._mechanisms:
            super()._log_in(client, user, password)
        elif "login" in self._mechanisms:
            answers = iter([user.encode(), password.encode()])
            ok(client.authenticate("LOGIN", lambda _: next(answers)))
        else:
            ok(client.login_cram_md5(user, password))

    # Start

    def _programs(self) -> None:
        program = find_program("dovecot")
        if program is None:
            raise FileNotFoundError("no dovecot on this machine")
        self._program = program

    def _prepare(self) -> None:
        self._options["before_passdb"] = TOKENS.format(folder=self._folder) if self._oauth2 else ""
        self._write(self._folder / "oauth2.conf", self._oauth2.replace("{folder}", str(self._folder)).encode())
        for name in ("users", "mail"):
            (self._folder / name).mkdir()
            self._own(self._folder / name)
        self._write(self._folder / "passdb.conf", PASSDB.format(folder=self._folder).encode())

    def _configure(self) -> None:
        text = CONFIGURATION.format(
            folder=self._folder,
            address=self.address,
            user=self._account.pw_name,
            group=grp.getgrgid(self._account.pw_gid).gr_name,
            uid=self._account.pw_uid,
            gid=self._account.pw_gid,
            imap_port=self.imap_port,
            imaps_port=self.imaps_port,
            **self._options,
        )
        self._write(self._folder / "dovecot.conf", text.encode())

    def _start(self, output: int) -> subprocess.Popen[bytes]:
        return self._spawn(self._program, "-F", "-c", self._folder / "dovecot.conf", output=output)

    def _greets_as(self) -> bytes:
        return str(self._folder).encode()

    def _lost_a_port(self) -> bool:
        return "Address already in use" in self.log

    def _logs(self) -> tuple[Path, ...]:
        return *super()._logs(), self._folder / "log"
