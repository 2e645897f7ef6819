"""Wrong passwords: how they are counted and forgotten, and whom they lock out."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guesses import (
    PLACE_SECONDS,
    PLACE_STEP_SECONDS,
    Held,
    Limit,
    Rules,
    is_known,
    remember,
)

NOW = 1_800_000_000.0
WINDOW, LOCKOUT = 3600.0, 900.0
LIMIT = Limit(20, WINDOW, LOCKOUT)
RULES = Rules(Limit(50, WINDOW, LOCKOUT), LIMIT)

limits = st.builds(Limit, st.integers(1, 1000), st.floats(60.0, 7 * 86_400.0), st.floats(1.0, 7 * 86_400.0))
pauses = st.floats(0.0, 7200.0)


def after(limit: Limit, guesses: int, now: float = NOW) -> float:
    clear_at = 0.0
    for _ in range(guesses):
        clear_at = limit.add(clear_at, now)
    return clear_at


@given(limits)
def test_the_last_guess_that_is_allowed_locks_and_not_the_one_before(limit: Limit) -> None:
    assert limit.seconds_locked(after(limit, limit.most - 1), NOW) == 0
    assert limit.seconds_locked(after(limit, limit.most), NOW) == pytest.approx(limit.lockout)


@given(limits, st.data())
def test_guesses_are_counted_one_by_one(limit: Limit, data: st.DataObject) -> None:
    guesses = data.draw(st.integers(0, limit.most))
    assert limit.count(after(limit, guesses), NOW) == guesses


@given(limits, st.data())
def test_after_the_window_everything_is_forgotten(limit: Limit, data: st.DataObject) -> None:
    clear_at = after(limit, data.draw(st.integers(0, limit.most - 1)))
    assert limit.count(clear_at, NOW + limit.window) == 0


@given(st.lists(pauses, max_size=200))
def test_however_guesses_are_spread_a_window_lets_few_through(pauses: list[float]) -> None:
    """Whoever guesses whenever he is let: in any hour no more than the limit, and what is forgotten meanwhile."""
    now, clear_at, let = NOW, 0.0, []
    for pause in pauses:
        now += pause
        if not LIMIT.seconds_locked(clear_at, now):
            let.append(now)
            clear_at = LIMIT.add(clear_at, now)
    for begin in let:
        assert sum(begin <= moment < begin + WINDOW for moment in let) <= 2 * LIMIT.most


@given(limits)
def test_who_goes_on_at_once_gets_one_guess_a_lock_out(limit: Limit) -> None:
    clear_at = after(limit, limit.most)
    over = NOW + limit.lockout + limit.window / limit.most / 4
    assert limit.seconds_locked(clear_at, over) == 0
    assert limit.seconds_locked(limit.add(clear_at, over), over) == pytest.approx(limit.lockout)


@given(limits, st.floats(-1e12, 1e12))
def test_no_stored_time_locks_out_for_longer_than_a_lock_out(limit: Limit, clear_at: float) -> None:
    assert limit.seconds_locked(clear_at, NOW) <= limit.lockout + 1e-6
    assert limit.count(clear_at, NOW) <= limit.most


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_limit_of_none_never_locks(clear_at: float) -> None:
    limit = Limit(0, WINDOW, LOCKOUT)
    assert limit.add(clear_at, NOW) == clear_at
    assert limit.seconds_locked(clear_at, NOW) == limit.count(clear_at, NOW) == 0


class World:
    """Counts by place and name, as the doorkeeper keeps them."""

    def __init__(self) -> None:
        self.now = NOW
        self.times: dict[str, float] = {}
        self.places: dict[tuple[str, str], float] = {}
        self.looked_at = 0  # passwords

    def try_password(self, site: str, user: str, *, right: bool) -> bool:
        known = is_known(self.places.get((site, user), 0.0), self.now)
        keys = site, f"{user} {site}" if known else user
        held = Held(*(self.times.get(key, 0.0) for key in keys))
        if RULES.seconds_barred(held, self.now, known=known):
            return False
        self.looked_at += 1
        if right:
            self.places[site, user] = remember(self.places.get((site, user), 0.0), self.now)
            return True
        failed = RULES.fail(held, self.now)
        self.times |= zip(keys, (failed.address, failed.account), strict=True)
        return False


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["ann", "bob"]), st.booleans(), pauses), max_size=100)
)
def test_strangers_elsewhere_never_lock_the_owner_out_of_his_usual_place(
    attempts: list[tuple[int, str, bool, float]],
) -> None:
    """Whatever they try, on whichever accounts, and whether or not they have an account of their own here."""
    world = World()
    assert world.try_password("home", "ann", right=True)
    for stranger, user, many, pause in attempts:
        for _ in range(60 if many else 1):
            world.try_password(f"stranger {stranger}", user, right=user == "bob" and stranger == 0)
        world.now += pause
        assert world.try_password("home", "ann", right=True)


def test_a_new_place_has_to_wait_while_strangers_guess_and_the_right_password_is_not_looked_at() -> None:
    world = World()
    for stranger in range(20):
        world.try_password(f"stranger {stranger}", "ann", right=False)
    looked_at = world.looked_at
    assert not world.try_password("hotel", "ann", right=True)
    assert world.looked_at == looked_at
    world.now += LOCKOUT + 1
    assert world.try_password("hotel", "ann", right=True)


def test_an_address_that_tries_many_names_is_locked_out_of_all() -> None:
    world = World()
    for number in range(1000):
        world.try_password("stranger", f"user {number}", right=False)
    assert world.looked_at == 50
    assert not world.try_password("stranger", "carol", right=True)


def test_who_is_known_at_an_address_is_not_locked_out_by_a_colleague_but_by_guesses_of_his_own() -> None:
    world = World()
    assert world.try_password("office", "ann", right=True)
    for number in range(60):
        world.try_password("office", f"user {number}", right=False)
    assert world.try_password("office", "ann", right=True)
    world.try_password("office", "ann", right=False)
    assert not world.try_password("office", "ann", right=True)


@pytest.mark.parametrize(
    ("later", "known"), [(0.0, True), (PLACE_SECONDS - 1, True), (PLACE_SECONDS, False), (-1e9, False)]
)
def test_a_place_is_known_for_a_month(later: float, known: bool) -> None:
    assert is_known(remember(0.0, NOW), NOW + later) is known


@pytest.mark.parametrize(
    ("later", "written"), [(60.0, False), (PLACE_STEP_SECONDS + 1, True), (PLACE_SECONDS + 1, True), (-1e9, True)]
)
def test_a_place_is_noted_no_more_than_daily(later: float, written: bool) -> None:
    until = remember(0.0, NOW)
    assert (remember(until, NOW + later) != until) is written
    assert is_known(remember(until, NOW + later), NOW + later)


@pytest.mark.parametrize("forget", [lambda held: Held(0.0, held.account), lambda held: Held(held.address, 0.0)])
def test_either_count_locks_by_itself(forget: Callable[[Held], Held]) -> None:
    full = Held(after(RULES.address, 50), after(RULES.account, 20))
    assert RULES.seconds_barred(forget(full), NOW, known=False) == pytest.approx(LOCKOUT)
    assert RULES.seconds_barred(Held(), NOW, known=False) == 0
