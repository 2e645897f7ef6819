"""curl: a message a URL, all of them over one connection."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.clients.client import Inbox, Site, Tls, Trouble, run, write_private
from tests.servers.fixtures import Mailbox, requires


class Curl:
    """Implements Client."""

    ways: ClassVar[Sequence[Tls]] = ("none", "stls", "pop3s")
    # CURLE_LOGIN_DENIED stands for every -ERR to a login.
    statuses: ClassVar[Mapping[Trouble, int | str]] = {
        Trouble.WRONG_PASSWORD: 67,
        Trouble.IN_USE: 67,
        Trouble.UPSTREAM_DOWN: 67,
        Trouble.UNTRUSTED: 60,
    }

    def __init__(self, home: Path) -> None:
        self._program = requires("curl", "curl")
        self._home = home
        self._inbox = Inbox(home)
        self.said = ""  # by the last run: the commands and the answers

    def fetch_all(self, site: Site, mailbox: Mailbox, *, tls: Tls, delete: bool) -> list[bytes]:
        listing = self.ask(site, mailbox, tls=tls).strip()  # of no lines it makes an empty one
        numbers = [int(line.split()[0]) for line in listing.splitlines()]
        if not numbers:
            return []
        requests = [
            [f'url = "{self._url(site, tls)}{number}"', f'output = "{self._inbox.folder}/{number:06}"']
            for number in numbers
        ]
        if delete:
            requests += [
                [f'url = "{self._url(site, tls)}{number}"', 'request = "DELE"', "list-only"] for number in numbers
            ]
        self._run(site, mailbox, tls, requests)
        return self._inbox.take()

    def as_stored(self, octets: bytes) -> bytes:
        return octets

    def ask(self, site: Site, mailbox: Mailbox, what: str = "", *options: str, tls: Tls = "stls") -> bytes:
        """What one request brings; `what` is the URL's path, and options are those of a configuration file."""
        answer = self._home / "answer"
        request = [f'url = "{self._url(site, tls)}{what}"', f'output = "{answer}"', *options]
        answer.write_bytes(b"")
        self._run(site, mailbox, tls, [request])
        return answer.read_bytes()

    def status_line(self, site: Site, mailbox: Mailbox, what: str, *options: str, tls: Tls = "stls") -> str:
        """The server's answer to a request that brings nothing else."""
        self._run(site, mailbox, tls, [[f'url = "{self._url(site, tls)}{what}"', *options]])
        return str(re.findall(r"^< (.*?)\r?$", self.said, re.MULTILINE)[-1])

    def _run(self, site: Site, mailbox: Mailbox, tls: Tls, requests: list[list[str]]) -> None:
        common = ["silent", "verbose", f'cacert = "{site.ca_file}"']
        common += [f"user = {_quoted(f'{mailbox.user}:{mailbox.password}')}"]
        common += ["ssl-reqd"] if tls == "stls" else []
        config = self._home / "curlrc"
        write_private(config, "\nnext\n".join("\n".join([*common, *request]) for request in requests))
        # -q: no configuration file but this; with --fail-early the first failure counts, not the last request.
        self.said = run([self._program, "-q", "--fail-early", "--config", config], self._home)

    def _url(self, site: Site, tls: Tls) -> str:
        return f"{'pop3s' if tls == 'pop3s' else 'pop3'}://{site.host}:{site.port_for(tls)}/"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
