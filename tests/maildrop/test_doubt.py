"""A maildrop that has become much smaller is not shown until it has looked so for a while."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.maildrop import UNSTABLE, Caution, Sighting, Verdict, judge

CAUTION = Caution(missing_share=0.5, missing_least=20, confirm_after=300)
BEFORE = Sighting(9, 100, 1000, 101)
SIGHTINGS = st.builds(Sighting, st.integers(1, 3), st.integers(0, 200), st.floats(0, 1e6))


@pytest.mark.parametrize("now", [Sighting(9, messages, 2000) for messages in (50, 81, 101, 500)])
def test_a_mailbox_that_is_about_as_it_was_is_believed_and_noted(now: Sighting) -> None:
    assert judge(BEFORE, None, now, CAUTION) == Verdict(noted=now)


def test_one_that_is_just_as_it_was_needs_no_note() -> None:
    assert judge(BEFORE, None, replace(BEFORE, since=2000), CAUTION) == Verdict()


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (Sighting(9, 0, 2000), "100 of 100 messages are missing"),
        (Sighting(9, 49, 2000), "51 of 100 messages are missing"),
        (Sighting(8, 100, 2000), "UIDVALIDITY changed from 9 to 8"),
    ],
)
def test_one_that_is_not_is_doubted_and_says_why(now: Sighting, reason: str) -> None:
    assert judge(BEFORE, None, now, CAUTION) == Verdict(reason, now, seconds_left=300)


def test_one_that_was_small_may_become_empty() -> None:
    assert not judge(Sighting(9, 19, 0), None, Sighting(9, 0, 1), CAUTION).reason


@given(SIGHTINGS)
def test_the_first_one_is_believed_and_so_is_one_after_an_empty_one(now: Sighting) -> None:
    assert judge(None, None, now, CAUTION) == Verdict(noted=now)
    assert not judge(Sighting(3, 0, 0), None, now, CAUTION).reason


@pytest.mark.parametrize(("since", "left"), [(2000, 300), (1701, 1), (1700, 0), (1000, 0)])
def test_what_has_looked_so_for_long_enough_is_believed(since: float, left: float) -> None:
    now = Sighting(9, 0, 2000)
    verdict = judge(BEFORE, Sighting(9, 0, since), now, CAUTION)
    doubtful = Verdict("100 of 100 messages are missing", seconds_left=left)
    assert verdict == (doubtful if left else Verdict(noted=now))


def test_what_shrinks_further_begins_anew() -> None:
    now = Sighting(9, 10, 2000)
    assert judge(BEFORE, Sighting(9, 40, 1000), now, CAUTION).noted == now


def test_so_does_a_clock_that_was_set_back() -> None:
    now = Sighting(9, 0, 2000)
    assert judge(BEFORE, Sighting(9, 0, 9000), now, CAUTION) == Verdict(
        "100 of 100 messages are missing", now, 300
    )


def test_a_mailbox_that_is_whole_again_ends_the_doubt() -> None:
    now = replace(BEFORE, since=2000)
    assert judge(BEFORE, Sighting(9, 0, 1000), now, CAUTION) == Verdict(noted=now)


def test_a_server_with_another_uidvalidity_each_time_is_refused_for_a_while_and_not_for_ever() -> None:
    verdict = judge(BEFORE, Sighting(8, 100, 1700), Sighting(7, 100, 2000, 3), CAUTION)
    assert verdict == Verdict(noted=Sighting(UNSTABLE, 100, 2000, 3))
    later = judge(verdict.noted, None, Sighting(6, 120, 2100, 3), CAUTION)
    assert later == Verdict(noted=Sighting(UNSTABLE, 120, 2100, 3))
    assert judge(later.noted, None, Sighting(5, 0, 2200), CAUTION).reason == "120 of 120 messages are missing"


@given(SIGHTINGS, SIGHTINGS, SIGHTINGS)
def test_caution_can_be_turned_off(before: Sighting, doubted: Sighting, now: Sighting) -> None:
    assert not judge(before, doubted, now, Caution(confirm_after=0)).reason


@given(SIGHTINGS, st.lists(SIGHTINGS, max_size=8), SIGHTINGS)
def test_no_history_of_doubt_keeps_a_mailbox_away_for_longer_than_its_last_loss(
    before: Sighting, history: list[Sighting], last: Sighting
) -> None:
    """Seen again and again as it is, it is shown after the time that the operator set."""
    accepted, doubted = before, None
    for now in sorted(history, key=lambda sighting: sighting.since):
        verdict = judge(accepted, doubted, now, CAUTION)
        if verdict.noted:
            accepted, doubted = (accepted, verdict.noted) if verdict.reason else (verdict.noted, None)
    first = replace(last, since=2e6)
    verdict = judge(accepted, doubted, first, CAUTION)
    if verdict.noted:
        accepted, doubted = (accepted, verdict.noted) if verdict.reason else (verdict.noted, None)
    assert not judge(accepted, doubted, replace(last, since=2e6 + 300), CAUTION).reason
