"""An IMAP client for tests to look into a mailbox with: imaplib's, which shares no code with the gateway."""

import base64
import contextlib
import imaplib
import re
from collections.abc import Iterable, Iterator, Sequence

from tests.servers.upstream import Stored

UIDS_A_COMMAND = 1000


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


def ok(answer: tuple[str, Sequence[object]]) -> Sequence[object]:
    status, data = answer
    if status != "OK":
        raise AssertionError(f"the server says {status}: {data!r:.500}")
    return data


def select(client: imaplib.IMAP4, folder: str, *, readonly: bool = False) -> None:
    ok(client.select(quoted(folder), readonly))


def select_or_create(client: imaplib.IMAP4, folder: str) -> None:
    """Open the folder, to look only; make it when it is not there."""
    if client.select(quoted(folder), readonly=True)[0] != "OK":
        ok(client.create(quoted(folder)))
        select(client, folder, readonly=True)


def number(client: imaplib.IMAP4, code: str) -> int:
    """What the last answer said, for example of UIDNEXT."""
    return int(client.response(code)[1][0])


def fetch(client: imaplib.IMAP4, uids: str, items: str) -> Sequence[object]:
    return ok(client.uid("FETCH", uids, items))


def stored(client: imaplib.IMAP4) -> list[Stored]:
    r"""All messages of the folder; \Recent is left out, which tells of sessions, not of mail."""
    if number(client, "EXISTS") == 0:  # 1:* of nothing is an error to Courier
        return []
    items = fetch(client, "1:*", "(UID FLAGS BODY.PEEK[])")
    return sorted((_parsed(*item) for item in items if isinstance(item, tuple)), key=lambda one: one.uid)


def _parsed(head: bytes, octets: bytes) -> Stored:
    uid, flags = re.search(rb"UID (\d+)", head), re.search(rb"FLAGS \(([^)]*)\)", head)
    if uid is None or flags is None:
        raise AssertionError(f"not what was asked for: {head!r}")
    return Stored(int(uid[1]), frozenset(flags[1].decode().split()) - {r"\Recent"}, octets)


def store(client: imaplib.IMAP4, uids: Sequence[int], flags: Iterable[str]) -> None:
    for uid_set in _uid_sets(uids):
        ok(client.uid("STORE", uid_set, "+FLAGS.SILENT", f"({' '.join(flags)})"))


def expunge(client: imaplib.IMAP4, uids: Sequence[int]) -> None:
    store(client, uids, [r"\Deleted"])
    for uid_set in _uid_sets(uids):
        ok(client.uid("EXPUNGE", uid_set))


def _uid_sets(uids: Sequence[int]) -> Iterator[str]:
    """A command's line must not be too long."""
    for begin in range(0, len(uids), UIDS_A_COMMAND):
        yield ",".join(map(str, uids[begin : begin + UIDS_A_COMMAND]))


def quoted(folder: str) -> str:
    escaped = utf7(folder).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def utf7(folder: str) -> str:
    """Modified UTF-7, in which IMAP and Maildir++ write the names of folders (RFC 3501, 5.1.3)."""

    def shifted(match: re.Match[str]) -> str:
        encoded = base64.b64encode(match[0].encode("utf-16-be"), b"+,").decode().rstrip("=")
        return f"&{encoded}-"

    return re.sub(r"[^\x20-\x7e]+", shifted, folder.replace("&", "&-"))
