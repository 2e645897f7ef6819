"""Warm connections: how many, for how long, and what they do meanwhile."""

import asyncio
import threading

import pytest

from gateway.errors import MaildropInUse, UpstreamFull, UpstreamRefused
from gateway.imap import connections as rules
from gateway.imap.link import Timeouts
from gateway.imap.warm import Limits
from tests.fakes.faults import Bye, Close, Hold, Say, Send, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.imap.conftest import COLD, POLL, Clock, Upstream, poll, settled, uids

# When they go


async def test_one_that_was_not_wanted_for_long_is_logged_out(
    fake: FakeImap, warm: Upstream, clock: Clock
) -> None:
    await poll(warm)
    clock.now = Limits().idle - 1
    warm.connections.sweep()
    await settled(lambda: "UNSELECT" in fake.verbs)
    clock.now = Limits().idle
    warm.connections.sweep()
    await asyncio.to_thread(fake.wait_until_idle)
    assert fake.verbs[-1] == "LOGOUT"


async def test_also_one_that_rested_for_longer_than_a_login_may_take(
    fake: FakeImap, warm: Upstream, clock: Clock
) -> None:
    def refuse() -> None:
        raise MaildropInUse

    warm.timeouts = Timeouts(5, 5, open=0.2)
    with pytest.raises(MaildropInUse):
        await warm.open(admit=refuse)
    await asyncio.sleep(0.2)
    clock.now = Limits().idle
    warm.connections.sweep()
    await asyncio.to_thread(fake.wait_until_idle)
    assert fake.verbs == ["LOGIN", "LOGOUT"]


async def test_nor_is_it_used_before_somebody_has_swept(fake: FakeImap, warm: Upstream, clock: Clock) -> None:
    await poll(warm)
    clock.now = Limits().idle
    await poll(warm)
    assert fake.counts.connections == 2


async def test_each_use_begins_its_rest_anew_but_never_makes_it_younger(
    fake: FakeImap, warm: Upstream, clock: Clock
) -> None:
    step = Limits().idle - 1
    while clock.now < Limits().age:
        await poll(warm)
        clock.now += step
    assert fake.counts.connections == 1
    await poll(warm)
    assert fake.counts.connections == 2


async def test_when_there_are_too_many_the_one_that_rested_longest_goes(fake: FakeImap, warm: Upstream) -> None:
    warm.keeping(Limits(connections=3))
    for name in "abcd":
        fake.add_user(name, "secret")
    for name in "abcad":  # a is used again, so b has rested longest
        await poll(warm, warm.account(name))
    await settled(lambda: len(fake.open) == 3)
    assert sorted(connection.user or "" for connection in fake.open) == ["a", "c", "d"]
    assert fake.connections[1].verbs[-1] == "LOGOUT"


async def test_hundreds_of_users_never_hold_more_than_the_limit(fake: FakeImap, warm: Upstream) -> None:
    warm.keeping(Limits(connections=10))
    for number in range(150):
        fake.add_user(f"user{number}", "secret")
        await poll(warm, warm.account(f"user{number}"))
    await settled(lambda: len(fake.open) == 10)
    assert fake.verbs.count("LOGOUT") == 140


@pytest.mark.parametrize("most", [1, 2])
async def test_a_user_has_so_many_and_no_more(fake: FakeImap, warm: Upstream, most: int) -> None:
    warm.keeping(Limits(per_account=most))
    sessions = [await warm.open() for _ in range(4)]
    for session in sessions:
        await session.close()
    await settled(lambda: len(fake.open) == most)
    assert fake.verbs.count("LOGOUT") == 4 - most


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5, 16, 64])
@pytest.mark.parametrize("most", [1, 4, 10])
def test_all_workers_together_have_so_many_of_a_user_and_no_more(workers: int, most: int) -> None:
    """Dovecot lets a user have 10 connections from one address, and his other programs count, too."""
    limits = [Limits(per_account=most, worker=number, workers=workers) for number in range(workers)]
    for user in ("ann", "bob", "cid", "dan@example.org", ""):
        parts = [each.part_of(user) for each in limits]
        assert sum(parts) == most
        assert max(parts) - min(parts) <= 1


def test_each_worker_has_some_users() -> None:
    fifth = Limits(worker=5, workers=16)
    assert 0 < sum(fifth.part_of(f"user{number}") for number in range(100)) < 100


@pytest.mark.parametrize("worker", [0, 1])
async def test_a_worker_keeps_none_of_whom_others_have(fake: FakeImap, warm: Upstream, worker: int) -> None:
    limits = Limits(per_account=1, worker=worker, workers=2)
    warm.keeping(limits)
    await poll(warm)
    await settled(lambda: len(fake.open) == limits.part_of("ann"))
    assert fake.verbs.count("LOGOUT") == 1 - limits.part_of("ann")


async def test_all_go_at_once_when_the_gateway_ends(fake: FakeImap, warm: Upstream) -> None:
    for name in "abc":
        fake.add_user(name, "secret")
        await poll(warm, warm.account(name))
    stalled = fake.on("LOGOUT", Stall(), user="b")
    late = await warm.open()
    await asyncio.to_thread(warm.connections.close, 0.3)
    fake.forgive(stalled)
    assert fake.verbs.count("LOGOUT") == 3
    await late.close()
    await asyncio.to_thread(fake.wait_until_idle)
    assert fake.verbs.count("LOGOUT") == 4


async def test_farewells_that_stall_hold_a_bounded_number_of_connections(
    fake: FakeImap, warm: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "FAREWELLS", 3)
    warm.keeping(Limits(connections=0))
    hung_up = threading.Event()
    fake.on("LOGOUT", Hold(hung_up))
    for _ in range(10):
        await poll(warm)
    await settled(lambda: len(fake.open) == 3)
    hung_up.set()
    await settled(lambda: not fake.open)


# While they rest


async def at_rest(warm: Upstream) -> None:
    """What sweep() has begun is done, its answer included: until then they are nobody's."""
    await settled(lambda: not any(kept.busy for kept in warm.connections._warm._all.values()))


async def test_one_that_rests_lets_go_of_its_mailbox_once(fake: FakeImap, warm: Upstream, clock: Clock) -> None:
    await poll(warm)
    clock.now = rules.UNSELECT_SECONDS - 1
    warm.connections.sweep()
    assert fake.verbs == COLD
    for clock.now in (rules.UNSELECT_SECONDS, 2 * rules.UNSELECT_SECONDS):
        warm.connections.sweep()
        await at_rest(warm)
        assert fake.verbs == [*COLD, "UNSELECT"]
    await poll(warm)
    assert fake.counts.connections == 1


@pytest.mark.parametrize("capabilities", [["IMAP4rev1"], ["IMAP4rev1", "UNSELECT"]])
async def test_never_by_a_close_and_it_serves_the_next_login_either_way(
    fake: FakeImap, warm: Upstream, clock: Clock, capabilities: list[str]
) -> None:
    fake.settings.capabilities = capabilities
    fake.flag("ann", [1], "\\Deleted")
    for _ in range(2):
        await poll(warm)
        clock.now += rules.UNSELECT_SECONDS
        warm.connections.sweep()
        await at_rest(warm)
    [connection] = fake.connections
    between = ["UNSELECT"] * ("UNSELECT" in capabilities)
    await settled(lambda: connection.verbs == [*COLD, *between, *POLL, *between])
    assert uids(fake) == [1, 2, 3]


async def test_a_login_at_that_very_moment_does_not_wait(fake: FakeImap, warm: Upstream, clock: Clock) -> None:
    warm.keeping(Limits(per_account=1), clock)
    asked, answer = threading.Event(), threading.Event()
    fake.on("UNSELECT", lambda *_: asked.set(), Hold(answer))
    await poll(warm)
    clock.now = rules.UNSELECT_SECONDS
    warm.connections.sweep()
    await asyncio.to_thread(asked.wait)
    await poll(warm)
    assert fake.counts.connections == 2
    answer.set()
    await settled(lambda: len(fake.open) == 1)  # one user has one
    await poll(warm)
    assert fake.counts.connections == 2


@pytest.mark.parametrize("fault", [Close(), Bye(), Send("garbage\r\n"), Stall()], ids=repr)
async def test_one_that_fails_then_is_gone(
    fake: FakeImap, warm: Upstream, clock: Clock, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "FAREWELL_SECONDS", 0.2)
    fake.on("UNSELECT", fault)
    await poll(warm)
    clock.now = rules.UNSELECT_SECONDS
    warm.connections.sweep()
    await settled(lambda: len(warm.connections._warm) == 0)
    await poll(warm)
    assert fake.counts.connections == 2


# What the server allows


def at_most(fake: FakeImap, count: int, answer: str) -> None:
    """Where so many are logged in, a login gets this answer. One that was refused does not count, open or not."""

    def crowded(*_: object) -> bool:
        return sum(bool(connection.user) and "LOGOUT" not in connection.verbs for connection in fake.open) >= count

    fake.on("LOGIN", Say(answer), when=crowded)


@pytest.mark.parametrize(
    "answer",
    [
        "NO [ALERT] Too many simultaneous connections. (Failure)",
        "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=1)",
    ],
)
async def test_a_users_own_makes_room_where_the_server_counts_them(
    fake: FakeImap, warm: Upstream, answer: str
) -> None:
    """It was opened with another password, so the new login cannot have it."""
    await poll(warm)
    fake.add_user("ann", "new")
    at_most(fake, 1, answer)
    await poll(warm, warm.account(password="new"))
    assert fake.connections[0].verbs == [*COLD, "LOGOUT"]
    assert fake.connections[1].verbs == ["LOGIN"]
    assert fake.connections[2].verbs == COLD


async def test_where_it_counts_all_of_them_the_one_that_rested_longest_makes_room(
    fake: FakeImap, warm: Upstream
) -> None:
    for name in ("bob", "cid"):
        fake.add_user(name, "secret")
        await poll(warm, warm.account(name))
    at_most(fake, 2, "NO Too many connections from your address")
    await poll(warm)
    assert sorted(connection.user or "" for connection in fake.open) == ["ann", "cid"]


@pytest.mark.parametrize("answer", ["NO [UNAVAILABLE] the user database is down", "NO [LIMIT] no"])
@pytest.mark.parametrize("name", ["ann", "bob"])
async def test_a_refusal_that_says_nothing_of_connections_is_no_reason_to_end_any(
    fake: FakeImap, warm: Upstream, name: str, answer: str
) -> None:
    """It may be how this server answers a stranger's guess."""
    fake.add_user("bob", "secret")
    await poll(warm, warm.account("bob"))
    fake.on("LOGIN", Say(answer))
    with pytest.raises(UpstreamRefused):
        await warm.open(warm.account(name, password="a guess"))
    assert not fake.connections[0].closed.is_set()
    assert fake.verbs.count("LOGIN") == 2


async def test_a_server_that_is_full_without_us_is_asked_once(fake: FakeImap, warm: Upstream) -> None:
    at_most(fake, 0, "NO Too many connections")
    with pytest.raises(UpstreamFull):
        await warm.open()
    assert fake.verbs.count("LOGIN") == 1
