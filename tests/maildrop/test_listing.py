"""What is remembered of a mailbox: believed where the server's answer proves it, and nowhere else."""

from array import array
from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.maildrop import Listing, Selected, Snapshot
from gateway.maildrop.listing import (
    END,
    EVERYTHING,
    FEW,
    GONE_RANGES,
    NEXT,
    Answer,
    Exact,
    Outdated,
    Question,
    Ranges,
    Void,
    compare,
    missing,
    question,
    settle,
)
from tests.maildrop.listings import answer, content, date_of

MANY = 100
SIZES_TO = (101, 100 + NEXT)  # what is asked for beyond a hundred messages, when the last one's date is known


def sizes_of(*uids: int) -> dict[int, int]:
    return {uid: 1000 + uid for uid in uids}


def known(*uids: int, uidnext: int = 0, highestmodseq: int = 0, gone: Ranges = (), dated: bool = True) -> Listing:
    sizes = array("Q", sizes_of(*uids).values())
    date = date_of(sizes[-1]) if sizes and dated else b""
    return Listing(
        9, uidnext or max(uids, default=0) + 1, array("I", uids), sizes, highestmodseq, date=date, gone=gone
    )


def snapshot(*uids: int, uidnext: int = 0) -> Snapshot:
    return replace(Snapshot.of(9, sizes_of(*uids).items()), uidnext=uidnext)


def compared(remembered: Listing, mailbox: Mapping[int, int], uidnext: int = 0) -> Exact | Outdated | Void:
    now = Selected(9, len(mailbox), uidnext=uidnext or max([remembered.uidnext - 1, *mailbox]) + 1)
    return compare(remembered, now, answer(question(remembered), mailbox))


def without(listing: Listing, *uids: int) -> dict[int, int]:
    return {uid: size for uid, size in content(listing).items() if uid not in uids}


# What is asked


def test_of_a_mailbox_that_is_not_remembered_everything_is_asked() -> None:
    assert question(None) == EVERYTHING == Question((), ((1, END),))


def test_a_small_mailbox_is_always_listed_whole() -> None:
    assert question(known()) == EVERYTHING
    assert question(known(*range(1, FEW))) == EVERYTHING
    assert question(known(*range(1, FEW + 1))) != EVERYTHING
    assert question(known(*range(1, FEW + 1)).less([7])) == EVERYTHING


def test_of_a_large_one_what_is_up_to_the_first_and_from_the_last_on_and_sizes_of_new_ones() -> None:
    assert question(known(*range(11, 101))) == Question(((1, 11), (100, END)), (SIZES_TO,))


def test_the_last_ones_size_stands_in_for_a_date_that_is_not_known() -> None:
    assert question(known(*range(11, 101), dated=False)) == Question(((1, 11), (100, END)), ((100, 99 + NEXT),))


def test_and_what_we_deleted_between_them() -> None:
    remembered = known(*range(11, 101)).less([11, 12, 50, 51, 60])
    assert remembered.gone == ((11, 12), (50, 51), (60, 60))
    assert question(remembered) == Question(((1, 13), (50, 51), (60, 60), (100, END)), (SIZES_TO,))


def test_where_we_deleted_the_last_the_last_but_that_is_looked_at() -> None:
    remembered = known(*range(11, 101)).less([98, 99, 100])
    assert question(remembered) == Question(((1, 11), (97, END)), ((97, 96 + NEXT),))


def test_no_uid_is_asked_for_that_cannot_be() -> None:
    asked = question(known(*range(END - 50, END + 1)))
    assert asked == Question(((1, END - 50), (END, END)), ((END, END),))


# What is proven


def test_an_unchanged_mailbox_is_exact_and_nothing_is_copied() -> None:
    remembered = known(*range(1, MANY + 1))
    verdict = compared(remembered, content(remembered))
    assert isinstance(verdict, Exact)
    assert verdict.listing == remembered
    assert verdict.listing.uids is remembered.uids
    assert verdict.listing.sizes is remembered.sizes


def test_one_whose_last_date_was_not_known_is_exact_by_its_size_and_then_has_it() -> None:
    remembered = known(*range(1, MANY + 1), dated=False)
    assert compared(remembered, content(remembered)) == Exact(known(*range(1, MANY + 1)))


@pytest.mark.parametrize("new", [[101], [101, 102, 103], [150, 200]])
def test_one_where_messages_only_arrived_is_exact(new: list[int]) -> None:
    """UIDNEXT may grow by more: messages were delivered and expunged since, or UIDs left out."""
    remembered = known(*range(1, MANY + 1))
    now = content(remembered) | sizes_of(*new)
    verdict = compared(remembered, now, uidnext=300)
    assert isinstance(verdict, Exact)
    assert content(verdict.listing) == now
    assert verdict.listing.date == date_of(now[new[-1]])


def test_a_new_one_whose_size_was_not_asked_for_is_outdated_and_its_size_is_missing() -> None:
    remembered = known(*range(1, MANY + 1))
    now = content(remembered) | sizes_of(101, 101 + NEXT)
    assert compared(remembered, now) == Outdated()
    assert missing(remembered, answer(question(remembered), now), list(now)) == [101 + NEXT]


@pytest.mark.parametrize("lost", [[1], [1, 2, 3]])
def test_old_ones_that_come_back_are_seen(lost: list[int]) -> None:
    """Yahoo shows the newest so many: where some are deleted, old ones are shown again, and EXISTS is the same."""
    remembered = known(*range(11, 111))
    now = without(remembered, *range(50, 50 + len(lost))) | sizes_of(*lost)
    assert compared(remembered, now) == Outdated()
    assert missing(remembered, answer(question(remembered), now), sorted(now)) == lost


def test_one_whose_first_is_gone_is_exact() -> None:
    remembered = known(*range(1, MANY + 1))
    now = without(remembered, 1) | sizes_of(101)
    verdict = compared(remembered, now)
    assert isinstance(verdict, Exact)
    assert content(verdict.listing) == now


@pytest.mark.parametrize(
    ("lost", "new"), [([50], []), ([50], [101]), ([50, 60], [101, 102]), ([1, 2], []), ([100], []), ([100], [101])]
)
def test_one_where_others_are_gone_is_outdated_whatever_arrived(lost: list[int], new: list[int]) -> None:
    """EXISTS may be the same, and UIDNEXT has grown by as many as arrived: the count of rows tells them apart."""
    remembered = known(*range(1, MANY + 1))
    assert compared(remembered, without(remembered, *lost) | sizes_of(*new)) == Outdated()


@pytest.mark.parametrize("deleted", [[50, 51], [1, 50, 51], [1, 2, 3, 50, 99, 100]])
def test_what_we_deleted_is_exact_where_it_is_gone_and_where_it_is_not(deleted: list[int]) -> None:
    remembered = known(*range(1, MANY + 1)).less(deleted)
    gone = without(remembered, *deleted)
    for now in (gone, gone | sizes_of(deleted[0]), gone | sizes_of(*deleted), gone | sizes_of(200)):
        verdict = compared(remembered, now, uidnext=201)
        assert isinstance(verdict, Exact), now
        assert content(verdict.listing) == now
        assert verdict.listing.gone == ()
        assert verdict.listing.date == date_of(now[max(now)])


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (Selected(8, MANY, uidnext=101), "UIDVALIDITY changed"),
        (Selected(9, MANY), "UIDNEXT is not told any more"),
        (Selected(9, MANY, uidnext=100), "UIDNEXT went back"),
        (Selected(9, MANY, uidnext=101, highestmodseq=76), "HIGHESTMODSEQ went back"),
    ],
)
def test_without_its_premises_nothing_is_believed(now: Selected, why: str) -> None:
    remembered = known(*range(1, MANY + 1), highestmodseq=77)
    assert compare(remembered, now, answer(question(remembered), content(remembered))) == Void(why)


@pytest.mark.parametrize("highestmodseq", [0, 77, 78])
def test_a_highestmodseq_that_grew_or_is_not_told_is_no_reason_to_doubt(highestmodseq: int) -> None:
    remembered = known(*range(1, MANY + 1), highestmodseq=77)
    now = Selected(9, MANY, uidnext=101, highestmodseq=highestmodseq)
    assert isinstance(compare(remembered, now, answer(question(remembered), content(remembered))), Exact)


def test_a_message_with_another_date_or_size_is_another_message() -> None:
    now = sizes_of(*range(1, MANY)) | {100: 5}
    assert compared(known(*range(1, MANY + 1)), now) == Void("UID 100 has another date")
    assert compared(known(*range(1, MANY + 1), dated=False), now) == Void("UID 100 has another size")


def test_without_the_youngest_as_a_proof_nothing_is_exact() -> None:
    """From a backup, and then mail arrived until the counts were the same: UIDs 93 and up are other messages."""
    remembered = known(*range(1, MANY + 1))
    now = without(remembered, *range(93, 101)) | dict.fromkeys(range(93, 100), 5) | {101: 6}
    assert compared(remembered, now) == Outdated()
    told = answer(question(remembered), now)
    assert missing(remembered, told, sorted(now)) == [99]
    proof = Answer(told.dates, {**told.sizes, 99: 5})
    assert settle(remembered, proof, sorted(now)) == Void("UID 99 has another size")


# All UIDs


def test_sizes_are_asked_for_only_where_they_are_not_known() -> None:
    remembered = known(*range(1, MANY + 1))
    uids = [*range(1, 40), *range(60, 103)]
    told = Answer({100: remembered.date, 101: b"x"}, sizes_of(101))
    assert missing(remembered, told, uids) == [102]
    assert missing(remembered, Answer(), uids) == [100, 101, 102]
    verdict = settle(remembered, Answer(told.dates, sizes_of(101, 102)), uids)
    assert isinstance(verdict, Exact)
    assert content(verdict.listing) == sizes_of(*uids)


def test_what_was_gone_before_its_size_was_told_is_left_out() -> None:
    remembered = known(*range(1, MANY + 1))
    verdict = settle(remembered, Answer({100: remembered.date}), [*range(2, 101), 102])
    assert isinstance(verdict, Exact)
    assert content(verdict.listing) == sizes_of(*range(2, 101))


# What is kept


def test_only_what_has_a_uidnext_is_remembered() -> None:
    assert Listing.of(snapshot(1, 2), 5.0) is None
    assert Listing.of(snapshot(1, 2, uidnext=7), 5.0, b"x") == replace(
        known(1, 2, uidnext=7), looked=5.0, date=b"x"
    )


def test_a_message_that_arrived_after_uidnext_was_told_counts() -> None:
    assert Listing.of(snapshot(1, 2, 3, uidnext=3), 0.0) == known(1, 2, 3, uidnext=4, dated=False)


def test_less_marks_what_is_there_and_nothing_else() -> None:
    remembered = known(2, 4, 6, 8)
    assert remembered.less([4, 6, 7]).gone == ((4, 6),)
    assert remembered.less([]) == remembered
    assert remembered.less([8]).less([2]).gone == ((2, 2), (8, 8))
    assert remembered.less([2, 6]).less([4]).gone == ((2, 6),)
    assert [remembered.less(uids).left for uids in ([], [3], [2], [2, 4, 8], [2, 4, 6, 8])] == [4, 4, 3, 1, 0]


def test_deletions_in_too_many_places_are_not_followed() -> None:
    remembered = known(*range(1, 1001))
    assert len(remembered.less(range(1, 2 * GONE_RANGES + 1, 2)).gone) == GONE_RANGES
    assert remembered.less(range(1, 2 * GONE_RANGES + 2, 2)) is remembered


def test_a_listing_is_news_when_messages_are_gone_or_many_arrived() -> None:
    before = known(*range(1, MANY + 1))
    assert before.is_news_to(None)
    assert not before.is_news_to(before)
    assert not known(*range(1, MANY + FEW)).is_news_to(before)
    assert known(*range(1, MANY + FEW + 1)).is_news_to(before)
    assert known(*range(2, MANY + 2)).is_news_to(before)
    assert known(*range(1, MANY)).is_news_to(before)
    assert before.is_news_to(replace(before, uidvalidity=8))
    assert before.is_news_to(replace(before, looked=8.0))
    assert before.is_news_to(replace(before, date=b""))
    assert not replace(before, date=b"").is_news_to(before)
    assert before.is_news_to(before.less([3]))
    assert before.less([3]).is_news_to(before)
