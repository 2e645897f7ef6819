"""Within a session of a mailbox that is remembered: new connections, and QUIT."""

from pathlib import Path

import pytest

from gateway.errors import StateError, UpstreamError
from gateway.maildrop import Listing
from gateway.store import FileListings
from gateway.telemetry.events import ListingNotKept
from tests.fakes.faults import Say
from tests.fakes.imap import FakeImap
from tests.imap.conftest import ONE, Upstream, commit, read
from tests.imap.known_mailbox.conftest import UNDATED, WHOLE, asked, numbered, remember, session


async def test_a_new_connection_takes_one_flight_beside_its_login(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.drop()
    before = fake.counts
    await read(mailbox, 50)
    assert asked(fake) == [*WHOLE, *UNDATED, "50"]
    assert (fake.counts - before).round_trips == 3


async def test_a_session_goes_on_though_others_expunge_and_deliver(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    before = mailbox.snapshot
    for gone in ([50], [4, 103], range(95, 103)):
        fake.expunge("ann", gone)
        fake.deliver("ann", [ONE])
        fake.drop()
        assert await read(mailbox, 60) == numbered(56)
    assert mailbox.snapshot is before
    await session(fake, upstream)


async def test_a_session_ends_when_uidnext_goes_back(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.renumber("ann", validity=fake.uid_validity("ann"))
    fake.drop()
    with pytest.raises(UpstreamError, match="UIDNEXT has shrunk"):
        await read(mailbox, 50)


async def test_and_when_a_uid_is_another_message(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    validity = fake.uid_validity("ann")
    fake.renumber("ann", validity=validity, uids={102: 103, 103: 102})
    fake.deliver("ann", [ONE])
    fake.drop()
    with pytest.raises(UpstreamError, match="another message than it was"):
        await read(mailbox, 50)


async def test_deletions_after_a_new_connection_are_followed_too(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.expunge("ann", [50])
    fake.drop()
    await commit(mailbox, delete=(60, 61))
    fake.deliver("ann", [ONE])
    assert await session(fake, upstream) == (["1:4,60:61,103:*", "104:1103"], 2)


async def test_a_deletion_that_fails_is_not_taken_for_done(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.on("UID EXPUNGE", Say("NO not now"))
    with pytest.raises(UpstreamError):
        await commit(mailbox, delete=(60, 61))
    assert await session(fake, upstream) == (UNDATED, 2)


class Failing(FileListings):
    """A disk that fails between two writes."""

    def keep(self, maildrop_key: str, listing: Listing) -> None:
        if listing.gone:
            raise StateError("no space left")
        super().keep(maildrop_key, listing)


async def test_a_quit_whose_listing_cannot_be_kept_is_a_quit(
    fake: FakeImap, upstream: Upstream, folder: Path
) -> None:
    upstream.listings = Failing(folder)
    mailbox = await upstream.open()
    await commit(mailbox, delete=(60, 61))
    assert [type(event) for event in upstream.events] == [ListingNotKept]
    assert await session(fake, upstream) == ([*UNDATED, "ALL"], 3)


async def test_what_is_deleted_has_the_size_that_is_remembered(fake: FakeImap, upstream: Upstream) -> None:
    """This server gives UIDs by place: an old message went, another came among the old ones, and the rest moved.

    What a look at a known mailbox asks for is as it was: UIDVALIDITY, UIDNEXT, EXISTS, the youngest message.
    """
    await remember(fake, upstream)
    fake.expunge("ann", [10])
    [arrived] = fake.deliver("ann", [numbered(5000)])
    validity = fake.uid_validity("ann")
    order = [uid for uid in range(4, 103) if uid != 10]
    order.insert(50, arrived)
    moved = dict(zip(order, range(4, 103), strict=True))
    fake.renumber("ann", validity=validity, uids=moved)
    mailbox = await upstream.open()
    before = [stored.octets for stored in fake.messages("ann")]
    with pytest.raises(UpstreamError, match="UID 30 is another message"):
        await commit(mailbox, delete=(30, 31))
    assert [stored.octets for stored in fake.messages("ann")] == before
    await session(fake, upstream)  # whole, and right again


async def test_that_is_asked_of_a_known_mailbox_only_and_of_these_messages(
    fake: FakeImap, upstream: Upstream
) -> None:
    listed = await upstream.open()
    before = len(asked(fake))
    await commit(listed, delete=(60,))
    assert asked(fake)[before:] == ["UID 60"]  # whether it is gone
    await upstream.open()
    known = await upstream.open()
    before = len(asked(fake))
    await commit(known, delete=(61, 62, 90))
    assert asked(fake)[before:] == ["61:62,90", "UID 61:62,90"]
