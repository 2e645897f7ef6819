"""Messages are fetched before they are asked for when the client goes on in order, and not when it does not."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.maildrop import Snapshot
from gateway.maildrop.ahead import (
    FIRST_WINDOW,
    LARGEST_OCTETS,
    MOST_MESSAGES,
    SESSION_OCTETS,
    Allowance,
    ReadAhead,
)


@dataclass
class Client:
    """Asks, and gets what was guessed or else fetches; a guess arrives when it is made."""

    sizes: list[int]
    allowance: Allowance = field(default_factory=Allowance)
    alone: list[int] = field(default_factory=list)  # UIDs that were fetched when they were asked for
    windows: list[tuple[int, ...]] = field(default_factory=list)
    seconds: float = 0.0  # that each window takes
    missing: frozenset[int] = frozenset()  # UIDs that do not come with others
    fails: bool = False  # a window with one of them fails as a whole
    ordered: bool = False  # nothing comes behind the first of them
    nothing: bool = False  # nor before it

    def __post_init__(self) -> None:
        self.ahead = ReadAhead(Snapshot.of(9, enumerate(self.sizes, 1)), self.allowance)

    def ask(self, uid: int, part: int | None = None) -> None:
        self.ahead.asked(uid, part)
        if self.ahead.take(uid, part) is None:
            if self.ahead.is_next(uid):
                self.fetch(part)
            if self.ahead.take(uid, part) is None:
                self.alone.append(uid)
        self.fetch(part)

    def fetch(self, part: int | None) -> None:
        window = self.ahead.next_window()
        if not window:
            return
        self.windows.append(tuple(window))
        came = [uid for uid in window if uid not in self.missing]
        failed = len(came) < len(window) and self.fails
        if failed and self.ordered:
            came = [uid for uid in came if uid < min(self.missing & window.keys())]
        if failed and self.nothing:
            came = []
        for uid in came:
            self.ahead.put(uid, b"x" * min(self.sizes[uid - 1], part or self.sizes[uid - 1]))
        self.ahead.settle(window, self.seconds, failed=failed)


def test_the_first_two_of_a_run_make_it_one_and_windows_double() -> None:
    client = Client([100] * 300)
    for uid in range(1, 301):
        client.ask(uid)
    assert client.alone == [1]
    assert [len(window) for window in client.windows[:4]] == [FIRST_WINDOW, 8, 16, 32]
    assert len(client.windows) < 9
    assert [uid for window in client.windows for uid in window] == list(range(2, 301))


@pytest.mark.parametrize("order", [range(50, 0, -1), range(1, 50, 2), [1, 5, 3, 9, 7, 2]])
def test_a_client_that_jumps_about_gets_no_guesses(order: list[int]) -> None:
    client = Client([100] * 60)
    for uid in order:
        client.ask(uid)
    assert client.alone == list(order)
    assert client.windows == []


def test_one_that_skips_some_keeps_what_is_there_already() -> None:
    client = Client([100] * 60)
    for uid in (1, 2, 3, 6, 7, 8):
        client.ask(uid)
    assert client.alone == [1]


def test_a_jump_back_begins_anew() -> None:
    client = Client([100] * 60)
    for uid in (1, 2, 3, 4, 1, 2, 3):
        client.ask(uid)
    assert client.alone == [1, 1]


def test_where_a_window_takes_long_the_next_one_is_smaller() -> None:
    client = Client([100] * 100, seconds=2.0)
    for uid in range(1, 101):
        client.ask(uid)
    assert {len(window) for window in client.windows} <= {3, FIRST_WINDOW}  # the mailbox ends within the last one


def test_the_first_windows_are_small_in_octets_too() -> None:
    """A client may wait for all of one, and the upstream may be slow."""
    client = Client([20_000] * 100)
    for uid in range(1, 101):
        client.ask(uid)
    assert [len(window) for window in client.windows[:4]] == [3, 6, 12, 24]
    assert client.alone == [1]


def test_what_does_not_come_with_others_is_fetched_alone_and_nothing_twice() -> None:
    """Expunged by another program, mostly. The windows go on behind what is held already."""
    client = Client([5_000] * 300, missing=frozenset({20, 60, 61, 200}))
    for uid in range(1, 301):
        client.ask(uid)
    assert client.alone == [1, 20, 60, 61, 200]
    guessed = [uid for window in client.windows for uid in window]
    assert len(guessed) == len(set(guessed))


@pytest.mark.parametrize("bad", [{10}, {150}, {40, 41, 42}, {7, 90, 250}])
def test_a_window_that_fails_is_begun_again_small(bad: set[int]) -> None:
    """All up to the message that fails has come; the window begins again behind it."""
    client = Client([100] * 300, missing=frozenset(bad), fails=True, ordered=True)
    for uid in range(1, 301):
        client.ask(uid)
    assert client.alone == [1, *sorted(bad)]
    assert len(client.windows) < 9 * (1 + len(bad))


def test_a_window_that_fails_without_a_message_costs_some_more() -> None:
    client = Client([100] * 300, missing=frozenset({150}), fails=True, nothing=True)
    for uid in range(1, 301):
        client.ask(uid)
    assert 150 in client.alone
    assert len(client.alone) + len(client.windows) < 40


def test_large_messages_are_left_to_be_streamed() -> None:
    client = Client([100, 100, LARGEST_OCTETS + 1, 100, 100])
    for uid in range(1, 6):
        client.ask(uid)
    assert client.alone == [1, 3]


def test_beginnings_are_guessed_as_whole_messages_are() -> None:
    client = Client([10_000_000] * 20)
    for uid in range(1, 21):
        client.ask(uid, 12_288)
    assert client.alone == [1]


def test_beginnings_are_of_no_use_where_the_whole_is_asked_for() -> None:
    client = Client([10_000] * 20)
    for uid in (1, 2, 3):
        client.ask(uid, 4000)
    client.ask(4)
    assert client.alone == [1, 4]


def test_what_all_sessions_hold_together_is_bounded() -> None:
    client = Client([100_000] * 60, Allowance(250_000))
    other = Client([100_000] * 60, client.allowance)
    for uid in range(1, 61):
        client.ask(uid)
        other.ask(uid)
    assert client.alone + other.alone != [1, 1]
    client.ahead.forget()
    other.ahead.forget()
    assert client.allowance.take(250_000)


REQUESTS = st.lists(st.tuples(st.integers(1, 30), st.sampled_from([None, None, 5, 70])), max_size=60)
RUNS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12)), max_size=8).map(
    lambda runs: [(uid, None) for begin, length in runs for uid in range(begin, min(begin + length, 31))]
)
SIZES = st.lists(st.sampled_from([0, 1, 100, 3000, LARGEST_OCTETS, 10**9]), min_size=30, max_size=30)


@given(SIZES, REQUESTS | RUNS, st.integers(0, 4_000_000), st.frozensets(st.integers(1, 30)), st.booleans())
def test_whatever_a_client_asks_the_bounds_hold_and_nothing_is_given_twice(
    sizes: list[int], requests: list[tuple[int, int | None]], allowed: int, missing: frozenset[int], fails: bool
) -> None:
    allowance = Allowance(allowed)
    client = Client(sizes, allowance, missing=missing, fails=fails)
    for uid, part in requests:
        client.ask(uid, part)
        assert client.ahead.take(uid, part) is None
        held = sum(map(len, client.ahead._held.values()))
        assert held <= sum(client.ahead._expected.values()) <= min(SESSION_OCTETS, allowed)
    assert all(len(window) <= MOST_MESSAGES for window in client.windows)
    client.ahead.forget()
    assert allowance.take(allowed)
