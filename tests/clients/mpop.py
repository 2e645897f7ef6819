"""mpop, which pipelines, and delivers as to an Exchange pickup directory: octet for octet."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.clients.client import Inbox, Site, Tls, Trouble, run, write_private
from tests.servers.fixtures import Mailbox, requires

_TLS: dict[Tls, str] = {
    "none": "tls off",
    "stls": "tls on\ntls_starttls on",
    "pop3s": "tls on\ntls_starttls off",
}


class Mpop:
    """Implements Remembering."""

    ways: ClassVar[Sequence[Tls]] = ("none", "stls", "pop3s")
    # From sysexits.h: NOPERM stands for every -ERR to a login.
    statuses: ClassVar[Mapping[Trouble, int | str]] = {
        Trouble.WRONG_PASSWORD: 77,
        Trouble.IN_USE: 77,
        Trouble.UPSTREAM_DOWN: 77,
        Trouble.UNTRUSTED: 69,
    }

    def __init__(self, home: Path) -> None:
        self._program = requires("mpop", "mpop")
        self._home = home
        self._inbox = Inbox(home)

    def fetch_all(self, site: Site, mailbox: Mailbox, *, tls: Tls, delete: bool) -> list[bytes]:
        options = ["--only-new=off", f"--keep={'off' if delete else 'on'}"]
        return self.fetch(site, mailbox, *options, tls=tls)[0]

    def fetch_new(self, site: Site, mailbox: Mailbox, *, tls: Tls) -> list[bytes]:
        return self.fetch(site, mailbox, "--only-new=on", "--keep=on", tls=tls)[0]

    def fetch(
        self, site: Site, mailbox: Mailbox, *options: str, tls: Tls = "stls", auth: str = ""
    ) -> tuple[list[bytes], str]:
        """With these options on the command line; what arrived, and what --debug says."""
        config = self._home / "mpoprc"
        # Without TLS it sends no password unless it is told how. A value between quotes is taken as it is.
        write_private(
            config,
            f"account default\n"
            f"host {site.host}\n"
            f"port {site.port_for(tls)}\n"
            f"{_TLS[tls]}\n"
            f"tls_trust_file {site.ca_file}\n"
            f"auth {auth or ('user' if tls == 'none' else 'on')}\n"
            f'user "{mailbox.user}"\n'
            f'password "{mailbox.password}"\n'
            f"uidls_file {self._home}/uids\n"
            f"received_header off\n"
            f"delivery exchange {self._inbox.folder}\n",
        )
        output = run([self._program, "--file", config, "--debug", *options], self._home)
        self._number()
        return self._inbox.take(), output

    def as_stored(self, octets: bytes) -> bytes:
        return octets

    def _number(self) -> None:
        """Name the files by mpop's count, which is in their names with the time."""
        for path in list(self._inbox.folder.iterdir()):
            count = re.search(r"Q(\d+)-", path.name)
            assert count, path.name
            path.rename(self._inbox.folder / f"{int(count[1]):06}")
