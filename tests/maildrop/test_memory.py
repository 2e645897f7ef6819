"""A maildrop that has become much smaller is not shown until it has looked so for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.maildrop import Caution, Memory, Sighting, doubt

CAUTION = Caution(missing_share=0.5, missing_least=20, confirm_after=300)
BEFORE = Sighting(9, 100, 1000)
SIGHTINGS = st.builds(Sighting, st.integers(1, 3), st.integers(0, 200), st.floats(0, 1e6))


@pytest.mark.parametrize("now", [Sighting(9, messages, 2000) for messages in (50, 81, 100, 500)])
def test_a_mailbox_that_is_about_as_it_was_is_believed(now: Sighting) -> None:
    assert doubt(Memory(accepted=BEFORE), now, CAUTION) == ""


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (Sighting(9, 0, 2000), "100 of 100 messages are missing"),
        (Sighting(9, 49, 2000), "51 of 100 messages are missing"),
        (Sighting(8, 100, 2000), "UIDVALIDITY changed from 9 to 8"),
    ],
)
def test_one_that_is_not_is_doubted_and_says_why(now: Sighting, reason: str) -> None:
    assert doubt(Memory(accepted=BEFORE), now, CAUTION) == reason


def test_one_that_was_small_may_become_empty() -> None:
    assert doubt(Memory(accepted=Sighting(9, 19, 0)), Sighting(9, 0, 1), CAUTION) == ""


@given(SIGHTINGS)
def test_the_first_one_is_believed_and_so_is_one_after_an_empty_one(now: Sighting) -> None:
    assert doubt(Memory(), now, CAUTION) == ""
    assert doubt(Memory(accepted=Sighting(3, 0, 0)), now, CAUTION) == ""


@pytest.mark.parametrize(("since", "believed"), [(1701, False), (1700, True), (1000, True)])
def test_what_has_looked_so_for_long_enough_is_believed(since: float, believed: bool) -> None:
    memory = Memory(accepted=BEFORE, doubted=Sighting(9, 0, since))
    assert (doubt(memory, Sighting(9, 0, 2000), CAUTION) == "") is believed


@pytest.mark.parametrize("now", [Sighting(9, 10, 2000), Sighting(7, 90, 2000)])
def test_what_looks_other_than_when_it_was_doubted_begins_anew(now: Sighting) -> None:
    memory = Memory(accepted=BEFORE, doubted=Sighting(8, 90, 1000))
    assert doubt(memory, now, CAUTION)


@given(SIGHTINGS, SIGHTINGS, SIGHTINGS)
def test_caution_can_be_turned_off(before: Sighting, doubted: Sighting, now: Sighting) -> None:
    assert doubt(Memory(accepted=before, doubted=doubted), now, Caution(confirm_after=0)) == ""
