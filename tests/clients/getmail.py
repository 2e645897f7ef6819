"""getmail6, with an external mail delivery agent that writes files. It has no STLS."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.clients.client import SHELL, Inbox, Site, Tls, Trouble, run, write_private
from tests.servers.fixtures import Mailbox, requires


class Getmail:
    """Implements Remembering."""

    ways: ClassVar[Sequence[Tls]] = ("none", "pop3s")
    # Its words tell more: it prints the server's.
    statuses: ClassVar[Mapping[Trouble, int | str]] = dict.fromkeys(Trouble, 127)

    def __init__(self, home: Path) -> None:
        self._program = requires("getmail", "getmail6")
        self._home = home
        self._inbox = Inbox(home, first=_WHEN_AWAITED)

    def fetch_all(self, site: Site, mailbox: Mailbox, *, tls: Tls, delete: bool) -> list[bytes]:
        return self._fetch(site, mailbox, tls, f"delete = {delete}\nread_all = true")

    def fetch_new(self, site: Site, mailbox: Mailbox, *, tls: Tls) -> list[bytes]:
        return self._fetch(site, mailbox, tls, "delete = false\nread_all = false")

    def as_stored(self, octets: bytes) -> bytes:
        """Python's email package parses the message, and writes it anew with Unix's line ends."""
        # It reads a bare CR as the end of a line.
        text = re.sub(rb"\r\n?", b"\n", octets.replace(b"\r\n", b"\n"))
        if not re.match(rb"[!-9;-~]+:", text):  # no header: the blank line that ends it has to be there
            return text if text.startswith(b"\n") else b"\n" + text
        head, _, body = text.partition(b"\n\n")
        # It folds a field before a word that is too long for the line.
        head = re.sub(rb"^([!-9;-~]+: )(\S{78,})$", rb"\1\n \2", head, flags=re.MULTILINE)
        return head.removesuffix(b"\n") + b"\n\n" + body

    def _fetch(self, site: Site, mailbox: Mailbox, tls: Tls, options: str) -> list[bytes]:
        config = self._home / "getmailrc"
        kind = "SimplePOP3SSLRetriever" if tls == "pop3s" else "SimplePOP3Retriever"
        trust = f"ca_certs = {site.ca_file}" if tls == "pop3s" else ""
        write_private(
            config,
            f"[retriever]\n"
            f"type = {kind}\n"
            f"server = {site.host}\n"
            f"port = {site.port_for(tls)}\n"
            f"{trust}\n"
            f"username = {mailbox.user}\n"
            f"password = {mailbox.password}\n"
            f"[destination]\n"
            f"type = MDA_external\n"
            f"path = {SHELL}\n"
            f'arguments = ("{self._inbox.script}", "{self._inbox.folder}")\n'
            f"allow_root_commands = true\n"
            f"[options]\n"
            f"received = false\n"
            f"delivered_to = false\n"
            f"{options}\n",
        )
        run([self._program, "--getmaildir", self._home, "--rcfile", config], self._home)
        return [octets.removeprefix(_RETURN_PATH) for octets in self._inbox.take()]


# It puts the sender there that the Return-Path or Sender field names; no message of ours has one.
_RETURN_PATH = b"Return-Path: <unknown>\n"

# It begins to wait for a child's end after it has started the child. An end before that is never noticed: it
# waits for a minute, and gives up. So the child looks that its parent sleeps.
_WHEN_AWAITED = """\
while read -r _ _ state _ <"/proc/$PPID/stat" && [ "$state" != S ]; do sleep 0.01; done
"""
