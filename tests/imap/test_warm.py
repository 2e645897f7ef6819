"""Warm connections: what a poll costs then, and who gets one."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from types import FunctionType, ModuleType

import pytest

from gateway.errors import (
    BadCredentials,
    GatewayError,
    LoggedInTooRecently,
    MaildropInUse,
    UpstreamError,
    UpstreamRefused,
)
from gateway.imap import connections as rules
from gateway.imap.warm import Limits
from gateway.ports import TlsMode
from gateway.sasl import Secret
from tests.fakes.faults import Close, ReadOnly, Say
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.imap.conftest import (
    BOUND,
    COLD,
    ONE,
    POLL,
    TWO,
    Clock,
    Upstream,
    commit,
    poll,
    read,
    secured,
    settled,
    uids,
)

# What a poll costs


async def test_the_next_poll_connects_nowhere_and_sends_no_password(fake: FakeImap, warm: Upstream) -> None:
    for _ in range(3):
        assert len((await poll(warm)).snapshot) == 3
    assert fake.verbs == COLD + POLL + POLL
    assert fake.counts.connections == 1


async def test_the_farewell_costs_the_client_and_the_server_nothing(fake: FakeImap, warm: Upstream) -> None:
    mailbox = await warm.open()
    before = fake.counts
    await mailbox.close()
    await poll(warm)
    assert (fake.counts - before).round_trips == 1  # SELECT and what it is followed by are one flight


async def test_without_warm_connections_each_session_says_goodbye(fake: FakeImap, warm: Upstream) -> None:
    warm.keeping(Limits(connections=0))
    await poll(warm)
    await asyncio.to_thread(fake.wait_until_idle)
    await poll(warm)
    await asyncio.to_thread(fake.wait_until_idle)
    assert fake.verbs == [*COLD, "LOGOUT", *COLD, "LOGOUT"]


async def test_each_session_sees_the_mailbox_as_it_is_then(fake: FakeImap, warm: Upstream) -> None:
    await poll(warm)
    [uid] = fake.deliver("ann", [ONE])
    fake.expunge("ann", [1])
    assert list((await poll(warm)).snapshot.uids) == [2, 3, uid]
    validity = fake.renumber("ann")
    snapshot = (await poll(warm)).snapshot
    assert (snapshot.uidvalidity, list(snapshot.uids)) == (validity, [1, 2, 3])
    assert fake.counts.connections == 1


async def test_the_next_session_may_open_another_folder(fake: FakeImap, warm: Upstream) -> None:
    fake.deliver("ann", [TWO], "Archive")
    await poll(warm)
    mailbox = await warm.open(warm.account(folder="Archive"))
    assert await read(mailbox, 1) == TWO
    assert fake.verbs.count("LOGIN") == 1


@pytest.mark.parametrize("fault", [ReadOnly(), Say("NO [READ-ONLY] only EXAMINE")], ids=repr)
async def test_a_mailbox_that_was_read_only_once_may_be_written_later(
    fake: FakeImap, warm: Upstream, fault: Fault
) -> None:
    rule = fake.on("SELECT", fault)
    if isinstance(fault, ReadOnly):
        assert (await poll(warm)).snapshot.read_only
    else:
        with pytest.raises(UpstreamError):
            await poll(warm)
    fake.forgive(rule)
    mailbox = await warm.open()
    assert not mailbox.snapshot.read_only
    await commit(mailbox, delete=(1,))
    assert uids(fake) == [2, 3]


async def test_nothing_that_others_flagged_is_removed_by_the_end_of_a_session(
    fake: FakeImap, warm: Upstream, clock: Clock
) -> None:
    fake.flag("ann", [1, 3], "\\Deleted")
    for _ in range(3):
        mailbox = await warm.open()
        await commit(mailbox, retrieved=(2,))
        await mailbox.close()
        clock.now += rules.UNSELECT_SECONDS
        warm.connections.sweep()
        await settled(lambda: fake.verbs[-1] == "UNSELECT")
    assert uids(fake) == [1, 2, 3]
    assert not {"CLOSE", "EXPUNGE", "UID EXPUNGE"} & set(fake.verbs)


# Who gets one


async def test_a_wrong_password_goes_to_the_server_and_never_gets_one(fake: FakeImap, warm: Upstream) -> None:
    await poll(warm)
    for wrong in ("wrong", "", "secre", "secrett", "SECRET", "secret "):
        with pytest.raises(BadCredentials):
            await warm.open(warm.account(password=wrong))
    assert fake.verbs.count("LOGIN") + fake.verbs.count("AUTHENTICATE") == 7
    assert fake.verbs.count("SELECT") == 1
    before = fake.counts
    await poll(warm)
    assert (fake.counts - before).connections == 0  # guesses cool nobody's connection


@pytest.mark.parametrize("name", ["bob", "ANN", "ann ", "an", "ann\\", 'ann"'])
async def test_nor_does_another_user_with_the_same_password(fake: FakeImap, warm: Upstream, name: str) -> None:
    fake.add_user(name, "secret")
    await poll(warm)
    mailbox = await warm.open(warm.account(name))
    assert len(mailbox.snapshot) == 0
    assert [connection.user for connection in fake.connections] == ["ann", name]


async def test_nor_the_same_user_of_another_server(fake: FakeImap, warm: Upstream) -> None:
    await poll(warm)
    with FakeImap() as other:
        other.add_user("ann", "secret")
        warm.endpoint = Upstream(other).endpoint
        assert len((await poll(warm)).snapshot) == 0
        assert other.verbs == COLD


async def test_nor_who_says_another_way_to_the_same_server(secure_fake: FakeImap, secure_warm: Upstream) -> None:
    """A connection in clear was never proved to lead to that host."""
    for mode in TlsMode:
        secure_warm.endpoint = secured(secure_fake, mode)
        await poll(secure_warm)
    assert [connection.secure for connection in secure_fake.connections] == [True, True, False]


async def test_when_the_password_was_changed_the_new_one_ends_what_the_old_one_opened(
    fake: FakeImap, warm: Upstream
) -> None:
    await poll(warm)
    fake.add_user("ann", "new")
    await poll(warm, warm.account(password="new"))
    await settled(fake.connections[0].closed.is_set)
    with pytest.raises(BadCredentials):
        await warm.open()
    await poll(warm, warm.account(password="new"))
    assert fake.connections[0].verbs == [*COLD, "LOGOUT"]
    assert fake.connections[1].verbs == COLD + POLL


async def test_until_then_the_old_one_is_taken_for_so_long_after_its_login_and_no_longer(
    fake: FakeImap, warm: Upstream, clock: Clock
) -> None:
    await poll(warm)
    fake.add_user("ann", "new")
    for clock.now in range(0, int(Limits().age), 600):
        await poll(warm)
    clock.now = Limits().age
    with pytest.raises(BadCredentials):
        await warm.open()
    assert fake.verbs.count("LOGIN") == 2


async def test_a_session_of_the_old_password_does_not_bring_its_connection_back(
    fake: FakeImap, warm: Upstream, clock: Clock
) -> None:
    old = await warm.open()
    fake.add_user("ann", "new")
    clock.now = 1
    await poll(warm, warm.account(password="new"))
    await old.close()
    with pytest.raises(BadCredentials):
        await warm.open()


async def test_whichever_of_the_two_ends_first(fake: FakeImap, warm: Upstream, clock: Clock) -> None:
    warm.keeping(Limits(per_account=2), clock)
    old = await warm.open()
    fake.add_user("ann", "new")
    clock.now = 1
    new = await warm.open(warm.account(password="new"))
    await old.close()
    await new.close()
    with pytest.raises(BadCredentials):
        await warm.open()


async def test_a_secret_that_the_server_calls_wrong_ends_what_it_opened(fake: FakeImap, warm: Upstream) -> None:
    warm.keeping(Limits(per_account=2))
    sessions = [await warm.open() for _ in range(3)]
    for session in sessions[:2]:
        await session.close()
    fake.add_user("ann", "new")
    fake.connections[2].cut()  # so that the third session finds out
    with pytest.raises(UpstreamRefused):
        await read(sessions[2], 1)
    with pytest.raises(BadCredentials):
        await warm.open()


async def test_of_two_logins_at_once_one_gets_it(fake: FakeImap, warm: Upstream) -> None:
    warm.keeping(Limits(per_account=1))
    await poll(warm)
    both = threading.Barrier(2)
    for _ in range(5):
        before = fake.counts
        opened = await asyncio.gather(*(warm.open(admit=lambda: void(both.wait(BOUND))) for _ in range(2)))
        assert (fake.counts - before).connections == 1
        for mailbox in opened:
            assert await read(mailbox, 1) == ONE
            await mailbox.close()
        await settled(lambda: len(fake.open) == 1)


def void(_: object) -> None: ...


async def test_what_is_kept_holds_no_secret(fake: FakeImap, warm: Upstream) -> None:
    secret = "a secret that nothing else holds"
    fake.add_user("ann", secret)
    await poll(warm, warm.account(password=secret))
    warm.opened.clear()
    assert len(warm.connections._warm) == 1
    for held in reachable(warm.connections):
        if isinstance(held, str | bytes | bytearray):
            text = held if isinstance(held, str) else bytes(held).decode("latin-1")
            assert secret[:8] not in text
        assert not isinstance(held, Secret)


def reachable(start: object) -> Iterator[object]:
    """All objects that are held by `start`, but for code, classes, and the fake's own."""
    seen: set[int] = set()
    left = [start]
    while left:
        held = left.pop()
        if id(held) in seen or isinstance(held, type | ModuleType | FunctionType | FakeImap | threading.Thread):
            continue
        seen.add(id(held))
        yield held
        left += gc.get_referents(held)


# The maildrop's lock and the login delay


async def test_admit_is_asked_once_and_before_the_mailbox_is_opened(fake: FakeImap, warm: Upstream) -> None:
    await poll(warm)
    seen: list[list[str]] = []
    await warm.open(admit=lambda: seen.append(fake.verbs))
    assert seen == [COLD]


async def test_once_also_where_the_connection_turns_out_to_be_dead(fake: FakeImap, warm: Upstream) -> None:
    await poll(warm)
    fake.on("SELECT", Close(), connection=1)
    asked: list[int] = []
    await warm.open(admit=lambda: asked.append(1))
    assert len(asked) == 1
    assert fake.counts.connections == 2


@pytest.mark.parametrize("refusal", [MaildropInUse, LoggedInTooRecently])
async def test_who_is_not_admitted_leaves_the_connection_for_the_next_attempt(
    fake: FakeImap, warm: Upstream, refusal: type[GatewayError]
) -> None:
    def refuse() -> None:
        raise refusal

    for _ in range(3):
        with pytest.raises(refusal):
            await warm.open(admit=refuse)
    await poll(warm)
    assert fake.verbs == COLD
