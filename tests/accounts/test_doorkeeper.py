"""Who gets his password looked at."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.accounts import Doorkeeper, wrong_guesses
from gateway.errors import BadCredentials, LockedOut, StateError
from gateway.guesses import Limit, Rules
from gateway.ports import Deadlines
from gateway.sasl import Secret
from gateway.store.deadlines import FileDeadlines
from gateway.telemetry.events import AccountLockedOut, AddressLockedOut, Event, GuessesNotCounted
from gateway.threads import Threads

RULES = Rules(Limit(10, 3600.0, 900.0), Limit(4, 3600.0, 900.0))
HOME, HOTEL, STRANGER = "192.0.2.1", "198.51.100.7", "203.0.113.66"
RIGHT = "right"


class Slow:
    """Implements ports.Deadlines over others that are far away: nothing is at hand."""

    def __init__(self, there: Deadlines) -> None:
        self._there = there

    def at_hand(self, keys: Sequence[str]) -> None:
        return None

    def recall(self, keys: Sequence[str]) -> Sequence[float]:
        return self._there.recall(keys)

    def revise(self, keys: Sequence[str], change: Callable[[Sequence[float]], Sequence[float]]) -> None:
        """Twice: a database may have to."""
        self._there.revise(keys, lambda times: (change(times), times)[1])
        self._there.revise(keys, change)


class Late:
    """Implements ports.Deadlines over others: what is changed there is there only after a while."""

    def __init__(self, there: Deadlines, may_go_on: threading.Event) -> None:
        self.at_hand = there.at_hand
        self.recall = there.recall
        self._there = there
        self._may_go_on = may_go_on

    def revise(self, keys: Sequence[str], change: Callable[[Sequence[float]], Sequence[float]]) -> None:
        self._may_go_on.wait()
        self._there.revise(keys, change)


class Broken:
    """Implements ports.Deadlines, and fails."""

    def at_hand(self, keys: Sequence[str]) -> Sequence[float]:
        raise StateError("disk full")

    recall = at_hand

    def revise(self, keys: Sequence[str], change: Callable[[Sequence[float]], Sequence[float]]) -> None:
        raise StateError("disk full")


class Watched:
    """Implements ports.Deadlines over others, and counts writes."""

    def __init__(self, there: Deadlines) -> None:
        self.written = 0
        self.at_hand = there.at_hand
        self.recall = there.recall
        self._there = there

    def revise(self, keys: Sequence[str], change: Callable[[Sequence[float]], Sequence[float]]) -> None:
        self.written += 1
        self._there.revise(keys, change)


class House:
    """Doorkeepers of one state folder, and the passwords that one of them looks at."""

    def __init__(self, folder: Path, kind: Callable[[Deadlines], Deadlines]) -> None:
        self.now = 1_800_000_000.0
        self.told: list[Event] = []
        self.asked: list[str] = []  # passwords that were looked at
        self._files = [FileDeadlines(folder / name, 1024) for name in ("guesses", "places")]
        self.held, self.places = map(kind, self._files)
        self._threads = Threads(2)
        self.door = self.doorkeeper()

    def doorkeeper(self, held: Deadlines | None = None, places: Deadlines | None = None) -> Doorkeeper:
        trusted = [ip_network("10.0.0.0/8")]
        kept = held or self.held, places or self.places
        return Doorkeeper(RULES, trusted, *kept, self._threads, self.told.append, lambda: self.now)

    async def log_in(
        self, address: str, password: str, user: str = "ann", *, at: Doorkeeper | None = None, said: bool = True
    ) -> str:
        """How it went; `said`: the mechanism says the password."""
        visit = (at or self.door).visit(user, address, Secret(password) if said else None)
        try:
            await visit.admit()
            with visit.under_way():
                self.asked.append(password)
                if password != RIGHT:
                    raise BadCredentials
        except BadCredentials as error:
            return f"wrong, {await visit.failed(error)} held"
        except LockedOut as error:
            return error.reply
        await visit.succeeded()
        return "in"

    async def guess(self, address: str, times: int, user: str = "ann", *, said: bool = True) -> list[str]:
        return [await self.log_in(address, f"guess {number}", user, said=said) for number in range(times)]

    def close(self) -> None:
        self._threads.stop()
        for file in self._files:
            file.close()


@pytest.fixture(params=[lambda there: there, Slow], ids=["at hand", "far away"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, request.param)
    yield made
    made.close()


async def test_guesses_lock_the_account_for_a_while_and_even_the_right_password_is_not_looked_at(
    house: House,
) -> None:
    assert (await house.guess(STRANGER, 4))[-1] == "wrong, 4 held"
    asked = len(house.asked)
    said = await house.log_in(HOTEL, RIGHT)
    assert said == "service unavailable: too many failed logins; try again in 16 minutes"
    assert len(house.asked) == asked
    house.now += 901
    assert await house.log_in(HOTEL, RIGHT) == "in"


async def test_guesses_count_however_the_name_is_spelt(house: House) -> None:
    """Where mail servers take these for one account there would be no end of guesses."""
    spellings = ["Ann@example.org", "ann+x@example.org", "\uff21nn@example.org.", " ann+y@exam\u00adple.org"]
    for number, name in enumerate(spellings):
        await house.log_in(STRANGER, f"guess {number}", name)
    assert "too many failed logins" in await house.log_in(HOTEL, RIGHT, "ann@example.org")
    assert await house.log_in(HOTEL, RIGHT, "ann@example.net") == "in"


async def test_what_is_wrong_for_one_spelling_may_be_right_for_another(house: House) -> None:
    """To some they are two accounts."""
    assert await house.log_in(HOTEL, "guess", "ann+x") == "wrong, 1 held"
    assert await house.log_in(HOTEL, "guess", "ann+y") == "wrong, 2 held"
    assert house.asked == ["guess", "guess"]
    assert await house.log_in(HOTEL, "guess", "ANN+x") == "wrong, 2 held"
    assert house.asked == ["guess", "guess"]


async def test_where_the_owner_was_lately_strangers_elsewhere_do_not_lock_him_out(house: House) -> None:
    assert await house.log_in(HOME, RIGHT) == "in"
    await house.guess(STRANGER, 20)
    assert await house.log_in(HOME, RIGHT, "Ann") == "in"


async def test_at_the_owners_own_place_guesses_lock_too(house: House) -> None:
    await house.log_in(HOME, RIGHT)
    await house.guess(HOME, 4)
    assert "try again" in await house.log_in(HOME, RIGHT)
    assert await house.log_in(HOTEL, RIGHT) == "in"


async def test_one_who_tries_many_names_is_locked_out_with_all(house: House) -> None:
    for number in range(10):
        await house.log_in(STRANGER, "123456", f"user {number}")
    assert "try again" in await house.log_in(STRANGER, RIGHT, "bob")
    assert await house.log_in(HOME, RIGHT, "bob") == "in"


async def test_a_forgotten_device_locks_nobody_out_and_the_mail_server_is_asked_once_a_minute(
    house: House,
) -> None:
    for _ in range(60):
        assert await house.log_in(HOME, "old") == "wrong, 1 held"
        house.now += 15
    assert len(house.asked) == 15 * 60 / wrong_guesses.ASK_AGAIN_SECONDS
    assert await house.log_in(HOME, RIGHT) == "in"


async def test_a_password_that_was_wrong_is_asked_for_again_after_a_minute(house: House) -> None:
    await house.log_in(HOME, "new")
    house.now += wrong_guesses.ASK_AGAIN_SECONDS
    await house.log_in(HOME, "new")
    assert house.asked == ["new", "new"]


async def test_the_same_wrong_password_with_another_name_counts(house: House) -> None:
    await house.log_in(STRANGER, "123456", "ann")
    assert await house.log_in(STRANGER, "123456", "bob") == "wrong, 2 held"


async def test_what_is_not_said_counts_each_time(house: House) -> None:
    await house.guess(STRANGER, 3, said=False)
    assert await house.log_in(STRANGER, "guess 0", said=False) == "wrong, 4 held"


async def test_wrong_passwords_are_forgotten_where_there_are_too_many(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrong_guesses, "REMEMBERED", 2)
    await house.guess(HOME, 3)
    assert len(house.door.wrong._wrong) == 2


async def test_other_workers_and_later_ones_know_it(house: House) -> None:
    other = house.doorkeeper()
    await house.guess(STRANGER, 2)
    await house.log_in(STRANGER, "another", at=other)
    assert await house.log_in(STRANGER, "and another", at=other) == "wrong, 4 held"
    for door in (house.door, other, house.doorkeeper()):
        assert "try again" in await house.log_in(STRANGER, RIGHT, at=door)


async def test_guesses_that_come_all_at_once_are_not_counted_too_late(house: House) -> None:
    visits = [house.door.visit("ann", f"203.0.113.{number}", Secret(str(number))) for number in range(20)]
    looked_at = 0
    entered = []
    for visit in visits:
        try:
            await visit.admit()
        except LockedOut:
            continue
        looked_at += 1
        entered.append(visit.under_way())
        entered[-1].__enter__()
    assert looked_at == RULES.account.most
    for one in entered:
        one.__exit__(None, None, None)
    assert not house.door.under_way


async def test_a_guess_is_under_way_until_it_is_counted(tmp_path: Path) -> None:
    """However long that takes: else as many again were looked at meanwhile."""
    may_be_counted = threading.Event()
    house = House(tmp_path, lambda there: Late(there, may_be_counted))
    counting = []
    for number in range(20):
        visit = house.door.visit("ann", f"203.0.113.{number}", Secret(str(number)))
        with contextlib.suppress(LockedOut):
            await visit.admit()
            counting.append(asyncio.ensure_future(visit.failed(BadCredentials())))
            await asyncio.sleep(0)  # now it waits to be written
    may_be_counted.set()
    assert len(counting) == RULES.account.most
    await asyncio.gather(*counting)
    assert not house.door.under_way
    house.close()


async def test_trusted_networks_are_neither_counted_nor_locked_out(house: House) -> None:
    assert (await house.guess("10.1.2.3", 20))[-1] == "wrong, 0 held"
    await house.guess(STRANGER, 4)
    assert await house.log_in("10.1.2.3", RIGHT) == "in"


async def test_loopback_is_counted_like_any_other(house: House) -> None:
    """Behind a relay everybody comes from there."""
    await house.guess("127.0.0.1", 4)
    assert "try again" in await house.log_in("127.0.0.1", RIGHT)


async def test_an_ipv6_customer_is_one_place(house: House) -> None:
    for number in range(4):
        await house.log_in(f"2001:db8::{number}", "x", f"user {number}")
    assert await house.log_in("2001:db8::ffff", "x") == "wrong, 5 held"


async def test_each_lock_out_is_told_once_with_its_seconds(house: House) -> None:
    await house.guess(STRANGER, 8)
    for number in range(10):
        await house.log_in(STRANGER, "x", f"user {number}")
    assert house.told == [
        AccountLockedOut("ann", STRANGER, "from wherever it is not known", 900),
        AddressLockedOut(STRANGER, 900),
    ]
    house.told.clear()
    await house.log_in(HOME, RIGHT)
    await house.guess(HOME, 4)
    assert house.told == []  # he is at a new place, which strangers had locked
    house.now += 901
    await house.log_in(HOME, RIGHT)
    await house.guess(HOME, 4)
    assert house.told == [AccountLockedOut("ann", HOME, f"from {HOME}", 900)]


async def test_a_store_that_fails_keeps_nobody_out(house: House) -> None:
    door = house.doorkeeper(Broken())
    assert await house.log_in(HOME, "wrong", at=door) == "wrong, 0 held"
    assert await house.log_in(HOME, RIGHT, at=door) == "in"
    assert set(house.told) == {GuessesNotCounted("disk full")}


async def test_a_good_login_writes_only_once_a_day(house: House) -> None:
    held, places = Watched(house.held), Watched(house.places)
    door = house.doorkeeper(held, places)
    for _ in range(25):
        assert await house.log_in(HOME, RIGHT, at=door) == "in"
        house.now += 3600
    assert (held.written, places.written) == (0, 2)
