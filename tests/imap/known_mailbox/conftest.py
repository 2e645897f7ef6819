"""A mailbox of a hundred messages, and a gateway that remembers it."""

from pathlib import Path

import pytest

from gateway.imap.mailbox import UpstreamMailbox
from gateway.store import FileListings
from gateway.telemetry.events import ListingVoid
from tests.fakes.imap import FakeImap
from tests.imap.conftest import Upstream

COUNT = 100
WHOLE = ["1:*"]
# What is asked of the mailbox below: which UIDs there are, and sizes of new ones, and of the last one as long as
# its date is not known.
UNDATED = ["1:4,103:*", "103:1102"]
KNOWN = ["1:4,103:*", "104:1103"]


def numbered(number: int) -> bytes:
    """A message of its own size."""
    return b"Subject: %d\r\n\r\n" % number + b"x" * number


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "listings"


@pytest.fixture(autouse=True)
def remembering(fake: FakeImap, upstream: Upstream, folder: Path) -> None:
    """A hundred messages, UIDs 4 to 103, and a store."""
    fake.expunge("ann", [1, 2, 3])
    fake.deliver("ann", [numbered(number) for number in range(COUNT)])
    upstream.listings = FileListings(folder)


def asked(fake: FakeImap) -> list[str]:
    """What was asked of messages: sets of UIDs, and searches."""
    commands = [command for command in fake.log if command.verb in ("UID FETCH", "UID SEARCH")]
    return [
        command.args.decode() if command.verb == "UID SEARCH" else command.args.decode().split()[0]
        for command in commands
    ]


async def session(fake: FakeImap, upstream: Upstream) -> tuple[list[str], int]:
    """What a login asks, and how many round trips it takes; its snapshot is the mailbox."""
    before, counts = len(asked(fake)), fake.counts
    mailbox = await upstream.open()
    cost = asked(fake)[before:], (fake.counts - counts).round_trips
    assert_exact(mailbox, fake)
    return cost


async def remember(fake: FakeImap, upstream: Upstream) -> UpstreamMailbox:
    """Twice: then the date of the last message is known, too."""
    assert await session(fake, upstream) == (WHOLE, 2)
    assert await session(fake, upstream) == (UNDATED, 2)
    return upstream.opened[-1]


def assert_exact(mailbox: UpstreamMailbox, fake: FakeImap) -> None:
    there = {stored.uid: len(stored.octets) for stored in fake.messages("ann")}
    assert dict(zip(mailbox.snapshot.uids, mailbox.snapshot.sizes, strict=True)) == there


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def reasons(upstream: Upstream) -> list[str]:
    return [event.why for event in upstream.events if isinstance(event, ListingVoid)]
