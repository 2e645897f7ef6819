"""A mailbox that a warm connection still has open: when NOOP is enough to know it again."""

from collections.abc import Callable
from typing import Literal

import pytest

from gateway.errors import UpstreamDoubtful
from gateway.imap import view as rules
from gateway.imap.view import VIEW_SECONDS, Views
from gateway.maildrop import Snapshot
from tests.fakes.faults import Bye, Close, Insert, Say
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.imap.conftest import COLD, ONE, POLL, Clock, Upstream, commit, poll, read, uids


@pytest.fixture
def kept(warm: Upstream, clock: Clock) -> Upstream:
    """All sessions are of one gateway."""
    mailboxes = warm.mailboxes()
    mailboxes._views = Views(clock)
    warm.mailboxes = lambda: mailboxes  # type: ignore[method-assign]
    return warm


async def asked(fake: FakeImap, upstream: Upstream) -> list[str]:
    """What one more poll asks, but for farewells; it finds the mailbox as it is."""
    before = len(fake.verbs)
    mailbox = await poll(upstream)
    assert list(mailbox.snapshot.uids) == uids(fake)
    return [verb for verb in fake.verbs[before:] if verb != "LOGOUT"]


async def test_a_mailbox_that_is_as_it_was_is_not_listed_again(fake: FakeImap, kept: Upstream) -> None:
    assert await asked(fake, kept) == COLD
    for _ in range(3):
        assert await asked(fake, kept) == ["NOOP"]
    assert fake.counts.connections == 1


def arrival(fake: FakeImap) -> None:
    fake.deliver("ann", [ONE])


def expunge(fake: FakeImap) -> None:
    fake.expunge("ann", [2])


def both(fake: FakeImap) -> None:
    arrival(fake)
    expunge(fake)


@pytest.mark.parametrize("happens", [arrival, expunge, both])
async def test_whatever_comes_or_goes_it_is_listed_then_and_known_again_afterwards(
    fake: FakeImap, kept: Upstream, happens: Callable[[FakeImap], None]
) -> None:
    await poll(kept)
    happens(fake)
    assert await asked(fake, kept) == ["NOOP", *POLL]
    assert await asked(fake, kept) == ["NOOP"]


async def test_flags_are_no_news(fake: FakeImap, kept: Upstream) -> None:
    await poll(kept)
    fake.flag("ann", [1, 2], "\\Flagged")
    assert await asked(fake, kept) == ["NOOP"]


async def test_a_session_that_did_something_leaves_nothing_to_rely_on(fake: FakeImap, kept: Upstream) -> None:
    mailbox = await kept.open()
    await read(mailbox, 1)
    await mailbox.close()
    assert await asked(fake, kept) == POLL
    mailbox = await kept.open()
    await commit(mailbox, delete=(1,))
    await mailbox.close()
    assert await asked(fake, kept) == POLL


@pytest.mark.parametrize("at", ["after", "behind"])
async def test_a_message_that_arrives_while_the_mailbox_is_listed_is_not_missed(
    fake: FakeImap, kept: Upstream, at: Literal["after", "behind"]
) -> None:
    """The server has told of it then, and NOOP need not tell of it again."""
    fake.on("UID FETCH", Insert("* 4 EXISTS", at=at), times=1)
    await poll(kept)
    assert await asked(fake, kept) == POLL


async def test_now_and_then_it_is_listed_all_the_same(fake: FakeImap, kept: Upstream, clock: Clock) -> None:
    """For servers that tell NOOP nothing."""
    await poll(kept)
    clock.now += VIEW_SECONDS - 1
    assert await asked(fake, kept) == ["NOOP"]
    clock.now += 2
    assert await asked(fake, kept) == POLL


async def test_another_folder_is_another_mailbox(fake: FakeImap, kept: Upstream) -> None:
    fake.deliver("ann", [ONE], "Archive")
    await poll(kept)
    archive = await poll(kept, kept.account(folder="Archive"))
    assert len(archive.snapshot) == 1
    assert await asked(fake, kept) == POLL


async def test_what_takes_much_memory_is_not_kept(
    fake: FakeImap, kept: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "VIEW_MESSAGES", 3)
    await poll(kept)
    assert await asked(fake, kept) == ["NOOP"]
    fake.deliver("ann", [ONE])
    await poll(kept)
    assert await asked(fake, kept) == POLL


async def test_what_was_not_believed_is_asked_anew(fake: FakeImap, kept: Upstream) -> None:
    def doubt(_: Snapshot) -> None:
        raise UpstreamDoubtful("half of it is missing", text="half of it is missing")

    await poll(kept)
    with pytest.raises(UpstreamDoubtful):
        await kept.mailboxes().open(kept.account(), lambda: None, doubt)
    assert await asked(fake, kept) == POLL
    assert fake.counts.connections == 1


@pytest.mark.parametrize(
    "fault", [Say("NO not now"), Say("BAD what"), Close(), Bye(), Close(reset=True)], ids=repr
)
async def test_where_noop_fails_a_new_connection_shows_the_mailbox(
    fake: FakeImap, kept: Upstream, fault: Fault
) -> None:
    await poll(kept)
    fake.on("NOOP", fault, times=1)
    assert await asked(fake, kept) == ["NOOP", *COLD]
    assert await asked(fake, kept) == ["NOOP"]
