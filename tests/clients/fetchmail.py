"""fetchmail, with a mail delivery agent that writes files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.clients.client import Inbox, Site, Tls, Trouble, run, write_private
from tests.servers.fixtures import Mailbox, requires

NO_MAIL = 1  # the exit status when there was nothing to fetch
BUFFER = 8191  # octets of a line of the body that fetchmail takes at once

# With "ssl" it begins with TLS; else with STLS, unless the protocol is none.
_TLS: dict[Tls, str] = {
    "none": 'sslproto ""',
    "stls": 'sslproto "TLS1.2+" sslcertck',
    "pop3s": 'ssl sslproto "TLS1.2+" sslcertck',
}


class Fetchmail:
    """Implements Remembering."""

    ways: ClassVar[Sequence[Tls]] = ("none", "stls", "pop3s")
    statuses: ClassVar[Mapping[Trouble, int | str]] = {
        Trouble.WRONG_PASSWORD: 3,  # AUTHFAIL
        Trouble.IN_USE: 9,  # LOCKBUSY
        Trouble.UPSTREAM_DOWN: 14,  # SERVBUSY
        Trouble.UNTRUSTED: 2,  # SOCKET
    }

    def __init__(self, home: Path) -> None:
        self._program = requires("fetchmail", "fetchmail")
        self._home = home
        self.inbox = Inbox(home)

    def fetch_all(self, site: Site, mailbox: Mailbox, *, tls: Tls, delete: bool) -> list[bytes]:
        """With RETR when it keeps, with TOP when it deletes."""
        return self.fetch(site, mailbox, "no keep" if delete else "keep fetchall", tls=tls)[0]

    def fetch_new(self, site: Site, mailbox: Mailbox, *, tls: Tls) -> list[bytes]:
        return self.fetch(site, mailbox, "keep", server="uidl", tls=tls)[0]

    def fetch(
        self,
        site: Site,
        mailbox: Mailbox,
        user: str,
        *options: str,
        server: str = "",
        tls: Tls = "stls",
        protocol: str = "pop3",
    ) -> tuple[list[bytes], str]:
        """With these user options, server options, and on the command line; what arrived, and what -v says."""
        config = self._home / "fetchmailrc"
        # invisible: without a Received field. no rewrite: addresses stay. no stripcr: line ends stay CRLF.
        # bad-header accept: else it leaves messages without a proper header on the server.
        write_private(
            config,
            f"set invisible\n"
            f'set idfile "{self._home}/uids"\n'
            f'set pidfile "{self._home}/pid"\n'
            f"poll {site.host} service {site.port_for(tls)} protocol {protocol} bad-header accept {server}\n"
            f"username {_quoted(mailbox.user)} password {_quoted(mailbox.password)}\n"
            f'{_TLS[tls]} sslcertfile "{site.ca_file}"\n'
            f'mda "{self.inbox.command}" no rewrite no stripcr {user}\n',
        )
        command: list[str | Path] = [self._program, "--fetchmailrc", config, "--nodetach", "--verbose", *options]
        output = run(command, self._home, also_fine=[NO_MAIL])
        messages = [_HEADERLESS.sub(b"", octets) for octets in self.inbox.take()]
        return [_BETWEEN_PIECES.sub(b"", octets) for octets in messages], output

    def as_stored(self, octets: bytes) -> bytes:
        head, body = _split(octets)
        # It takes the dot that was stuffed off the message's first line, and of no other line of the header.
        head = re.sub(rb"(?<=\n)\.", b"..", head)
        # It ends every header with a blank line.
        return head + b"\r\n" + b"".join(map(_in_pieces, re.findall(rb"[^\n]*\n", body)))


# What it puts in front of a message that begins with the blank line.
_HEADERLESS = re.compile(
    rb"\AFrom: FETCHMAIL-DAEMON\r\nTo: [^\r\n]*\r\nSubject: Headerless mail from [^\r\n]*\r\n(?=\r\n)"
)
# What it puts into a line that is longer than its buffer: the buffer's end, and an octet beyond.
_BETWEEN_PIECES = re.compile(rb"\0.\r\n", re.DOTALL)


def _split(octets: bytes) -> tuple[bytes, bytes]:
    """The header, and what follows the blank line."""
    if octets.startswith(b"\r\n"):
        return b"", octets[2:]
    end = octets.find(b"\r\n\r\n")
    return (octets, b"") if end < 0 else (octets[: end + 2], octets[end + 4 :])


def _in_pieces(line: bytes) -> bytes:
    """It takes a dot for stuffing not only where a line begins, but where a piece of one does."""
    sent = line.replace(b".", b"..", 1) if line.startswith(b".") else line
    pieces = (sent[begin : begin + BUFFER] for begin in range(0, len(sent), BUFFER))
    return b"".join(piece.removeprefix(b".") for piece in pieces)


def _quoted(text: str) -> str:
    """Its reader of the file ends a string at the next quote, escaped or not; escapes are resolved after that."""
    escaped = text.replace("\\", "\\\\").replace('"', "\\x22")
    return f'"{escaped}"'
