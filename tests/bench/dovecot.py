"""Dovecot twice, as in production: the IMAP server behind, and the POP3 server over imapc to compare with."""

import contextlib
import grp
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.bench.client import HOST, PASSWORD, Address, connect
from tests.servers.machine import find_program, free_ports, processes
from tests.servers.tls import Certificates

START_SECONDS = 20.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.01

# Both instances: nothing chrooted, for they run as nobody; limits far above what the bench needs.
_COMMON = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
default_vsz_limit = 0
default_client_limit = 20000
default_process_limit = 2000
listen = {host}
mail_max_userip_connections = 20000
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""

# Any user with the one password; the mailbox is the domain's. Nothing is synced to a disk, and processes are used
# again: the less the upstream costs, the more those before it show.
_UPSTREAM = """\
protocols = imap pop3
mail_location = {layout}:{folder}/mailboxes/%d
mdbox_rotate_size = 1G
mail_fsync = never
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 2
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service imap {{
  client_limit = {clients_a_process}
  service_count = {service_count}
  process_min_avail = 2
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service pop3 {{
  service_count = 1000
  process_min_avail = 2
}}
"""

# What a careful administrator sets for imapc: sizes and headers by FETCH of their own, unique-ids from UIDs, no
# flag updates, indexes kept. The password is checked upstream, and the mail is fetched with it.
_PEER = """\
protocols = pop3
mail_location = imapc:{folder}/indexes/%u
mail_fsync = never
imapc_host = {upstream.host}
imapc_port = {upstream.port}
imapc_user = %u
imapc_ssl = {imapc_ssl}
imapc_features = rfc822.size fetch-headers
ssl_client_ca_file = {ca_file}
pop3_no_flag_updates = yes
pop3_fast_size_lookups = yes
pop3_uidl_format = %08Xv%08Xu
passdb {{
  driver = imap
  args = host={upstream.host} port={upstream.port} {auth_ssl}
  default_fields = userdb_imapc_password=%w
}}
userdb {{
  driver = prefetch
}}
mail_uid = {uid}
mail_gid = {gid}
mail_home = {folder}/home/%u
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
"""

# Dovecot starts a process for each login and another for each session; its manual has this for those who would
# rather be fast: processes that are there before the client, and serve many.
_TUNED = """\
service pop3-login {{
  service_count = 0
  process_min_avail = 2
}}
service pop3 {{
  service_count = 1000
  process_min_avail = 2
}}
"""


class Dovecot:
    """A running instance in `folder`, which it shares with nobody; its processes are one process group."""

    def __init__(self, folder: Path, configuration: str, certificates: Certificates, **values: object) -> None:
        program = find_program("dovecot")
        if program is None:
            raise FileNotFoundError("no dovecot on this machine: apt-get install dovecot-imapd dovecot-pop3d")
        self.folder = folder
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        folder.mkdir()
        shutil.copyfile(certificates.cert_file, folder / "cert.pem")
        shutil.copyfile(certificates.key_file, folder / "key.pem")
        (folder / "dovecot.conf").write_text(
            (_COMMON + configuration).format(
                folder=folder,
                host=HOST,
                user=self._account.pw_name,
                group=grp.getgrgid(self._account.pw_gid).gr_name,
                uid=self._account.pw_uid,
                gid=self._account.pw_gid,
                **values,
            )
        )
        for path in (folder, *folder.iterdir()):
            os.chown(path, self._account.pw_uid, self._account.pw_gid)
        self._process = self._start(program)

    @property
    def group(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        names = (self.folder / "stderr", self.folder / "log")
        return "".join(path.read_text(errors="replace") for path in names if path.exists())

    def stop(self) -> None:
        os.killpg(self.group, signal.SIGTERM)
        end = time.monotonic() + 1.0
        while processes(self.group) - {self.group} and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
        end = time.monotonic() + STOP_SECONDS
        while processes(self.group) and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        self._process.wait()

    def _start(self, program: str) -> subprocess.Popen[bytes]:
        root = os.geteuid() == 0
        with open(self.folder / "stderr", "ab") as stderr:
            return subprocess.Popen(
                [program, "-F", "-c", str(self.folder / "dovecot.conf")],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                user=self._account.pw_uid if root else None,
                group=self._account.pw_gid if root else None,
                extra_groups=[] if root else None,
            )


class Upstream(Dovecot):
    """The IMAP server; its own POP3 reads the files themselves."""

    def __init__(
        self, folder: Path, certificates: Certificates, layout: str = "maildir", clients_a_process: int = 1
    ) -> None:
        imap, imaps, pop3, pop3s = free_ports(HOST, 4)
        self.imap, self.imaps = Address(HOST, imap), Address(HOST, imaps, tls=True)
        self.pop3, self.pop3s = Address(HOST, pop3), Address(HOST, pop3s, tls=True)
        self.ca_file = certificates.ca_file
        super().__init__(
            folder,
            _UPSTREAM,
            certificates,
            layout=layout,
            password=PASSWORD,
            imap=imap,
            imaps=imaps,
            pop3=pop3,
            pop3s=pop3s,
            clients_a_process=clients_a_process,
            service_count=1000 if clients_a_process == 1 else 0,
        )
        _wait_for_greeting(self, self.imap)


class Imapc(Dovecot):
    """Dovecot's POP3 on its imapc storage: the peer."""

    def __init__(
        self, folder: Path, certificates: Certificates, upstream: Address, *, tuned: bool = False
    ) -> None:
        pop3, pop3s = free_ports(HOST, 2)
        self.pop3, self.pop3s = Address(HOST, pop3), Address(HOST, pop3s, tls=True)
        super().__init__(
            folder,
            _PEER + (_TUNED if tuned else ""),
            certificates,
            upstream=upstream,
            imapc_ssl="imaps" if upstream.tls else "no",
            auth_ssl=f"ssl=imaps ssl_ca_file={certificates.ca_file}" if upstream.tls else "",
            ca_file=certificates.ca_file,
            pop3=pop3,
            pop3s=pop3s,
        )
        _wait_for_greeting(self, self.pop3)

    def forget(self, user: str) -> None:
        shutil.rmtree(self.folder / "indexes" / user, ignore_errors=True)


def wait_for_greeting(address: Address, alive: "subprocess.Popen[bytes] | None" = None) -> bool:
    """Whether a server greets there in time."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and (alive is None or alive.poll() is None):
        with contextlib.suppress(OSError), connect(address) as connection:
            if connection.recv(512):
                return True
        time.sleep(POLL_SECONDS)
    return False


def _wait_for_greeting(server: Dovecot, address: Address) -> None:
    if not wait_for_greeting(address, server._process):
        server.stop()
        raise RuntimeError(f"Dovecot did not start:\n{server.log}")
