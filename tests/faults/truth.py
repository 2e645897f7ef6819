"""What a maildrop may and must hold, whatever broke: a model, and the checks against the mailbox itself.

The invariants:

1. no message disappears from the upstream unless the client said DELE for it and then QUIT in that session;
2. after +OK to QUIT a deleted message is in no later snapshot, and gone upstream after one more healthy session;
3. nobody else's messages that bear \\Deleted are expunged;
4. a snapshot does not move during its session, and a message that ended with the dot has the right octets.
"""

import re

from tests.faults.rig import Shown
from tests.servers.dovecot import as_shown
from tests.servers.fixtures import Mailbox
from tests.servers.upstream import Stored

DELETED, SEEN = r"\Deleted", r"\Seen"


class Truth:
    """Told of all that happens to one maildrop; raises AssertionError when that and the mailbox disagree."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.octets: dict[int, bytes] = {}  # by UID, all that ever came
        self.expunged: set[int] = set()  # by others
        self.flagged: dict[str, set[int]] = {DELETED: set(), SEEN: set()}  # by others
        self.asked: set[int] = set()  # DELE, then QUIT, however that ended
        self.deleted: set[int] = set()  # the same, and QUIT was answered with +OK
        self.retrieved: set[int] = set()

    # What happens

    def deliver(self, messages: list[bytes]) -> None:
        self.octets.update(zip(self.mailbox.deliver(messages), messages, strict=True))

    def flag(self, uid: int, flag: str) -> None:
        self.flagged.setdefault(flag, set()).add(uid)
        self.mailbox.flag([uid], flag)

    def expunge(self, *uids: int) -> None:
        self.expunged.update(uids)
        self.mailbox.expunge(uids)

    def quit(self, marked: set[int], reply: bytes) -> None:
        """The client said QUIT with these marked; b"" when it heard nothing."""
        self.asked |= marked
        if reply.startswith(b"+OK"):
            self.deleted |= marked

    # What must be

    def check_upstream(self) -> list[Stored]:
        stored = self.mailbox.messages()
        present = {message.uid for message in stored}
        lost = self.octets.keys() - present - self.expunged - self.asked
        assert not lost, f"nobody deleted {sorted(lost)}: {self}"
        for message in stored:
            assert message.octets == as_shown(self.octets[message.uid])
            if DELETED in message.flags:
                assert message.uid in self.flagged[DELETED] | self.asked, f"{message.uid} bears \\Deleted: {self}"
            if SEEN in message.flags:
                assert message.uid in self.flagged[SEEN] | self.retrieved, f"{message.uid} bears \\Seen: {self}"
        return stored

    def check_shown(self, shown: Shown, before: set[int]) -> None:
        """What a login shows, with what was in the mailbox just before it."""
        seen = set(shown.uids.values())
        assert list(shown.uids) == list(shown.sizes) == list(range(1, len(shown.uids) + 1))
        assert list(shown.uids.values()) == sorted(seen)
        assert not seen & self.deleted, f"deleted, and shown: {sorted(seen & self.deleted)}: {self}"
        hidden = before - seen - self.asked
        assert not hidden, f"not shown: {sorted(hidden)}: {self}"
        assert seen <= before, f"shown, and not there: {sorted(seen - before)}: {self}"
        for number, uid in shown.uids.items():
            assert shown.sizes[number] == len(as_shown(self.octets[uid])) or uid in self.retrieved

    def check_kept(self) -> None:
        """After one more healthy session."""
        left = {message.uid for message in self.check_upstream()} & self.deleted
        assert not left, f"deleted, and still there: {sorted(left)}: {self}"

    def check_message(self, uid: int, received: bytes) -> None:
        assert received == as_received(self.octets[uid]), f"{uid} arrived as {received[:200]!r}"

    def check_top(self, uid: int, lines: int, received: bytes) -> None:
        head, blank, body = as_received(self.octets[uid]).partition(b"\r\n\r\n")
        wanted = head + blank + b"".join(body.splitlines(keepends=True)[:lines])
        assert received == wanted, f"the top of {uid} arrived as {received[:200]!r}"

    def __str__(self) -> str:
        return (
            f"{sorted(self.octets)} came, others expunged {sorted(self.expunged)}, {sorted(self.asked)} were "
            f"to be deleted, {sorted(self.deleted)} with +OK, others flagged {self.flagged}"
        )


def as_received(octets: bytes) -> bytes:
    """What the client has in the end."""
    shown = re.sub(rb"\r\Z", b"", as_shown(octets))
    return shown if shown.endswith(b"\r\n") else shown + b"\r\n"
