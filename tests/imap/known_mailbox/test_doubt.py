"""A mailbox that is remembered is never believed too much, nor is a server that lies or fails."""

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import UpstreamError
from gateway.imap import listing as listing_module
from gateway.maildrop.listing import BELIEVED_SECONDS, FEW
from gateway.telemetry.events import ListingNotKept
from tests.fakes.faults import Close, Edit, Insert, Say
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.row_faults import Item, NoRow
from tests.imap.conftest import ONE, Upstream
from tests.imap.known_mailbox.conftest import KNOWN, WHOLE, kept, numbered, reasons, remember, session


def spoil(folder: Path) -> None:
    """Nothing can be written there."""
    folder.touch()


# What is not believed


async def test_a_server_that_does_not_tell_uidnext_is_always_asked_for_all(
    fake: FakeImap, upstream: Upstream, folder: Path
) -> None:
    fake.on("SELECT", Edit("UIDNEXT", None))
    for _ in range(2):
        assert await session(fake, upstream) == (WHOLE, 2)
    assert kept(folder) == []


async def test_one_that_stops_telling_it_too(fake: FakeImap, upstream: Upstream, folder: Path) -> None:
    await remember(fake, upstream)
    fake.on("SELECT", Edit("UIDNEXT", None))
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UIDNEXT is not told any more"]
    assert kept(folder) == []


async def test_another_uidvalidity_is_another_mailbox(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    fake.renumber("ann")
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UIDVALIDITY changed"]
    assert await session(fake, upstream) == (["1,100:*", "100:1099"], 2)


async def test_uids_that_begin_anew_under_the_same_uidvalidity_are_other_messages(
    fake: FakeImap, upstream: Upstream
) -> None:
    await remember(fake, upstream)
    fake.renumber("ann", validity=fake.uid_validity("ann"))
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UIDNEXT went back"]


async def test_even_when_uidnext_and_exists_are_the_same_again(fake: FakeImap, upstream: Upstream) -> None:
    """From a backup, and then as much mail arrived as was lost."""
    await remember(fake, upstream)
    octets = {stored.uid: stored.octets for stored in fake.messages("ann")}
    fake.renumber("ann", validity=fake.uid_validity("ann"), uids={})
    fake.expunge("ann", range(90, 104))
    validity = fake.uid_validity("ann")
    fake.renumber("ann", validity=validity, uids={})  # UIDNEXT is 90
    fake.deliver("ann", [numbered(900 + number) for number in range(14)])
    assert {stored.uid for stored in fake.messages("ann")} == set(octets)
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UID 103 has another date"]


@pytest.mark.parametrize("date", ["NIL", '" 1-Jan-1970 00:00:00 +0000"', '""'])
async def test_a_message_that_has_another_date_is_not_believed(
    fake: FakeImap, upstream: Upstream, date: str
) -> None:
    await remember(fake, upstream)
    fake.on("UID FETCH", Item("INTERNALDATE", date))
    assert await session(fake, upstream) == (KNOWN + WHOLE, 3)
    assert reasons(upstream) == ["UID 103 has another date"]


@pytest.mark.parametrize(
    ("told", "whole"), [("77", False), ("78", False), ("76", True), ("x", False), ("9" * 30, False)]
)
async def test_a_highestmodseq_that_went_back_tells_of_a_restored_mailbox(
    fake: FakeImap, upstream: Upstream, told: str, whole: bool
) -> None:
    rule = fake.on("SELECT", Insert("* OK [HIGHESTMODSEQ 77] highest", at="after"))
    await remember(fake, upstream)
    fake.forgive(rule)
    fake.on("SELECT", Insert(f"* OK [HIGHESTMODSEQ {told}] highest", at="after"))
    assert ("1:*" in (await session(fake, upstream))[0]) is whole


async def test_a_mailbox_is_listed_whole_once_a_day(fake: FakeImap, upstream: Upstream, folder: Path) -> None:
    await remember(fake, upstream)
    assert upstream.listings is not None
    key = upstream.account().maildrop_key
    fresh = upstream.listings.recall(key)
    assert fresh is not None
    for looked in (time.time() - BELIEVED_SECONDS - 1, time.time() + 60):  # a clock may have been set back
        upstream.listings.keep(key, replace(fresh, looked=looked))
        await remember(fake, upstream)
        assert await session(fake, upstream) == (KNOWN, 2)
    assert reasons(upstream) == []


async def test_new_mail_does_not_make_it_younger(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    assert upstream.listings is not None
    key = upstream.account().maildrop_key
    before = upstream.listings.recall(key)
    fake.deliver("ann", [ONE] * FEW)
    await session(fake, upstream)
    after = upstream.listings.recall(key)
    assert before is not None
    assert after is not None
    assert (len(after.uids), after.looked) == (len(before.uids) + FEW, before.looked)


async def test_a_damaged_file_costs_a_listing(fake: FakeImap, upstream: Upstream, folder: Path) -> None:
    await remember(fake, upstream)
    (file,) = kept(folder)
    file.write_bytes(file.read_bytes()[:-1])
    await remember(fake, upstream)
    assert await session(fake, upstream) == (KNOWN, 2)


async def test_what_cannot_be_kept_is_logged_and_asked_for_again(
    fake: FakeImap, upstream: Upstream, folder: Path
) -> None:
    spoil(folder)
    for _ in range(2):
        assert await session(fake, upstream) == (WHOLE, 2)
    failures = [event for event in upstream.events if isinstance(event, ListingNotKept)]
    assert [event.user for event in failures] == ["ann", "ann"]
    assert "Not a directory" in failures[0].error


# Servers that fail in the middle


@pytest.mark.parametrize("answer", [Say("NO [LIMIT] no"), Say("BAD what?"), Say("OK nothing")], ids=repr)
async def test_a_server_that_does_not_search_lists(fake: FakeImap, upstream: Upstream, answer: Fault) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    fake.on("UID SEARCH", answer)
    assert await session(fake, upstream) == ([*KNOWN, "ALL", *WHOLE], 4)
    assert reasons(upstream) == ["the server does not tell all UIDs"]


async def test_a_search_that_tells_too_few_is_not_believed(fake: FakeImap, upstream: Upstream) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    fake.on("UID SEARCH", Say("OK", ("* SEARCH 4 5 6 103",)))
    assert await session(fake, upstream) == ([*KNOWN, "ALL", *WHOLE], 4)


async def test_a_new_message_that_is_never_listed_is_an_error_and_not_left_out(
    fake: FakeImap, upstream: Upstream
) -> None:
    await remember(fake, upstream)
    (uid,) = fake.deliver("ann", [ONE])
    rule = fake.on("UID FETCH", NoRow(), uid=uid)
    with pytest.raises(UpstreamError, match="lists 100 of 101"):
        await upstream.open()
    fake.forgive(rule)
    await session(fake, upstream)


async def test_many_sizes_are_not_asked_for_one_by_one(
    fake: FakeImap, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UIDs that come back between those that are known: so does no server that keeps RFC 3501."""
    monkeypatch.setattr(listing_module, "MOST_MISSING", 10)
    fake.expunge("ann", range(20, 80, 2))
    await remember(fake, upstream)
    back = dict(zip(fake.deliver("ann", [ONE] * 30), range(20, 80, 2), strict=True))
    fake.renumber("ann", validity=fake.uid_validity("ann"), uids=back)
    assert await session(fake, upstream) == ([*KNOWN, "ALL", *WHOLE], 4)


@pytest.mark.parametrize("verb", ["UID FETCH", "UID SEARCH"])
async def test_a_connection_that_breaks_fails_the_login_and_spoils_nothing(
    fake: FakeImap, upstream: Upstream, verb: str
) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    rule = fake.on(verb, Close(octets=20))
    with pytest.raises(UpstreamError):
        await upstream.open()
    fake.forgive(rule)
    assert await session(fake, upstream) == ([*KNOWN, "ALL"], 3)


@pytest.mark.parametrize(
    "line", ['* ESEARCH (TAG "GW1") UID ALL 1:100000', f"* SEARCH {' '.join(map(str, range(1, 3000)))}"]
)
async def test_a_search_without_an_end_is_refused_before_it_is_held(
    fake: FakeImap, upstream: Upstream, line: str
) -> None:
    await remember(fake, upstream)
    fake.expunge("ann", [50])
    fake.on("UID SEARCH", Insert(*[line] * 300))
    tracemalloc.start()
    with pytest.raises(UpstreamError, match="too many"):
        await upstream.open()
    assert tracemalloc.get_traced_memory()[1] < 16_000_000
    tracemalloc.stop()
