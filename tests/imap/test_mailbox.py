"""An open mailbox: what a login costs, who is admitted, and a connection that is replaced when it drops."""

import asyncio
import threading

import pytest

from gateway.errors import (
    MaildropInUse,
    UpstreamError,
    UpstreamSilent,
    UpstreamUnreachable,
)
from gateway.ports import TlsMode
from gateway.telemetry.events import UpstreamReconnected
from tests.fakes.faults import Bye, Close, Delay, EndlessLine, Hold, Say, Send, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.imap.conftest import HASTY, ONE, THREE, TWO, Upstream, commit, read, secured, uids

LARGE = bytes(range(256)) * 4096  # a megabyte
HUGE = bytes(range(256)) * 8192


def reconnects(upstream: Upstream) -> int:
    return sum(isinstance(event, UpstreamReconnected) for event in upstream.events)


# What a login costs


async def test_a_cold_open_takes_two_round_trips(fake: FakeImap, upstream: Upstream) -> None:
    await upstream.open()
    assert fake.verbs == ["LOGIN", "SELECT", "UID FETCH"]
    assert (fake.counts.connections, fake.counts.round_trips) == (1, 2)


@pytest.mark.parametrize(
    ("capabilities", "password", "round_trips"),
    [
        (["IMAP4rev1", "LITERAL+"], 'sec"ret', 2),
        (["IMAP4rev1"], 'sec"ret', 4),
        (["IMAP4rev1", "AUTH=PLAIN", "SASL-IR"], 'sec"ret', 2),
        (["IMAP4rev1", "AUTH=PLAIN"], 'sec"ret', 3),
    ],
)
async def test_an_odd_password_costs_a_round_trip_for_each_invitation(
    fake: FakeImap, upstream: Upstream, capabilities: list[str], password: str, round_trips: int
) -> None:
    fake.settings.capabilities = capabilities
    fake.add_user("ann", password)
    await upstream.open(upstream.account("ann", password))
    assert fake.counts.round_trips == round_trips


async def test_capabilities_that_are_not_told_cost_one_round_trip(fake: FakeImap, upstream: Upstream) -> None:
    fake.settings.capability_in_greeting = fake.settings.capability_after_login = False
    await upstream.open()
    assert fake.verbs == ["CAPABILITY", "LOGIN", "SELECT", "UID FETCH"]
    assert fake.counts.round_trips == 3


async def test_starttls_costs_two(secure_fake: FakeImap, secure_upstream: Upstream) -> None:
    secure_upstream.endpoint = secured(secure_fake, TlsMode.STARTTLS)
    await secure_upstream.open()
    assert secure_fake.verbs == ["STARTTLS", "CAPABILITY", "LOGIN", "SELECT", "UID FETCH"]
    assert secure_fake.counts.round_trips == 4


async def test_ten_thousand_messages_are_listed_in_the_same_two(fake: FakeImap, upstream: Upstream) -> None:
    fake.deliver("ann", [ONE] * 10_000)
    assert len((await upstream.open()).snapshot) == 10_003
    assert fake.counts.round_trips == 2


async def test_a_message_takes_one_and_a_quit_one_for_each_step(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    before = fake.counts
    assert await read(mailbox, 2) == TWO
    assert (fake.counts - before).round_trips == 1


async def test_the_end_is_a_logout_and_never_a_close(fake: FakeImap, upstream: Upstream) -> None:
    fake.flag("ann", [1], "\\Deleted")
    mailbox = await upstream.open()
    await mailbox.close()
    await mailbox.close()
    fake.wait_until_idle()
    assert fake.verbs[-1] == "LOGOUT"
    assert "CLOSE" not in fake.verbs
    assert uids(fake) == [1, 2, 3]


# Admission


async def test_admit_is_asked_after_the_login_and_before_the_listing(fake: FakeImap, upstream: Upstream) -> None:
    seen: list[list[str]] = []
    await upstream.open(admit=lambda: seen.append(fake.verbs))
    assert seen == [["LOGIN"]]


async def test_what_admit_raises_ends_the_login(fake: FakeImap, upstream: Upstream) -> None:
    def refuse() -> None:
        raise MaildropInUse

    with pytest.raises(MaildropInUse):
        await upstream.open(admit=refuse)
    fake.wait_until_idle()
    assert fake.verbs == ["LOGIN", "LOGOUT"]


@pytest.mark.parametrize("verb", ["LOGIN", "SELECT", "UID FETCH"])
@pytest.mark.parametrize("fault", [Close(), Bye(), Say("NO no"), Send("x\r\n"), Stall()], ids=repr)
async def test_a_login_that_fails_leaves_no_connection_behind(
    fake: FakeImap, upstream: Upstream, verb: str, fault: Fault
) -> None:
    upstream.timeouts = HASTY
    fake.on(verb, fault)
    with pytest.raises(Exception, match=r".+"):
        await upstream.open()
    fake.wait_until_idle(10)


async def test_a_login_that_is_cancelled_leaves_no_connection_behind(fake: FakeImap, upstream: Upstream) -> None:
    asked, answer = threading.Event(), threading.Event()
    fake.on("SELECT", lambda *_: asked.set(), Hold(answer))
    task = asyncio.create_task(upstream.mailboxes().open(upstream.account(), lambda: None))
    await asyncio.to_thread(asked.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answer.set()
    await asyncio.to_thread(fake.wait_until_idle)


async def test_a_session_whose_connection_stays_silent_is_not_waited_for(
    fake: FakeImap, upstream: Upstream
) -> None:
    upstream.timeouts = HASTY
    for verb in ("SELECT", "UID FETCH"):
        rule = fake.on(verb, Stall())
        with pytest.raises(UpstreamSilent):
            await upstream.open()
        fake.forgive(rule)


@pytest.mark.parametrize("verb", ["SELECT", "UID FETCH"])
@pytest.mark.parametrize("fault", [Send("* OK x\r\n", times=None), EndlessLine(400_000)], ids=repr)
async def test_an_answer_without_end_is_an_error(
    fake: FakeImap, upstream: Upstream, verb: str, fault: Fault
) -> None:
    upstream.timeouts = HASTY
    fake.on(verb, fault)
    with pytest.raises(UpstreamError):
        await upstream.open()


# A connection that drops


@pytest.mark.parametrize("last_words", [(), ("* BYE AccessTokenExpired",)])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_dropped_is_replaced_and_the_snapshot_stays(
    fake: FakeImap, upstream: Upstream, last_words: tuple[str, ...], reset: bool
) -> None:
    mailbox = await upstream.open()
    before = mailbox.snapshot
    fake.drop(*last_words, reset=reset)
    fake.deliver("ann", [ONE])
    assert await read(mailbox, 2) == TWO
    assert mailbox.snapshot is before
    assert reconnects(upstream) == 1
    assert fake.connections[1].verbs == ["LOGIN", "SELECT", "UID FETCH", "UID FETCH"]


async def test_a_mailbox_that_was_made_anew_is_not_taken_for_ours(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.renumber("ann", uids={1: 2, 2: 1, 3: 3})
    fake.drop()
    with pytest.raises(UpstreamError, match="UIDVALIDITY changed"):
        await read(mailbox, 1)


async def test_a_server_that_gave_its_uids_anew_is_not_taken_for_ours_whatever_the_sizes_are(
    fake: FakeImap, upstream: Upstream
) -> None:
    mailbox = await upstream.open()
    validity = mailbox.snapshot.uidvalidity
    fake.expunge("ann", [1, 2, 3])
    (new,) = fake.deliver("ann", [ONE])
    fake.renumber("ann", validity=validity, uids={new: 1})
    fake.drop()
    with pytest.raises(UpstreamError, match="UIDNEXT has shrunk"):
        await commit(mailbox, delete=(1,))
    assert uids(fake) == [1]


async def test_a_server_that_is_down_is_unreachable_and_back_when_it_is_up(
    fake: FakeImap, upstream: Upstream
) -> None:
    mailbox = await upstream.open()
    fake.down()
    for _ in range(2):
        with pytest.raises(UpstreamUnreachable):
            await read(mailbox, 1)
    fake.up()
    assert await read(mailbox, 1) == ONE


@pytest.mark.parametrize("octets", [0, 1, 10])
async def test_a_poisonous_message_costs_so_many_connections_and_spares_the_others(
    fake: FakeImap, upstream: Upstream, octets: int
) -> None:
    mailbox = await upstream.open()
    fake.on("UID FETCH", Close(octets=octets, of="literal"), uid=2, has="BODY")
    for attempt in (1, 2):
        with pytest.raises(UpstreamUnreachable):
            await read(mailbox, 2)
        assert fake.counts.connections <= 1 + 2 * attempt
    assert await read(mailbox, 1) == ONE
    assert await read(mailbox, 3) == THREE


async def test_a_fetch_that_is_never_answered_is_given_up_and_not_repeated(
    fake: FakeImap, upstream: Upstream
) -> None:
    upstream.timeouts = HASTY
    mailbox = await upstream.open()
    fake.on("UID FETCH", Stall(), uid=2, has="BODY")
    before = fake.verbs.count("UID FETCH")
    with pytest.raises(UpstreamSilent):
        await read(mailbox, 2)
    assert fake.verbs.count("UID FETCH") == before + 1
    assert await read(mailbox, 1) == ONE


async def test_a_body_that_breaks_off_is_an_error_and_never_a_short_message(
    fake: FakeImap, upstream: Upstream
) -> None:
    upstream.timeouts = HASTY
    [uid] = fake.deliver("ann", [LARGE])
    mailbox = await upstream.open()
    faults: list[Fault] = [Close(octets=600_000), Stall(octets=600_000), Close(octets=600_000, reset=True)]
    for fault in faults:
        rule = fake.on("UID FETCH", fault, uid=uid)
        with pytest.raises(UpstreamError):
            await read(mailbox, uid)
        fake.forgive(rule)
    assert await read(mailbox, uid) == LARGE


async def test_a_slow_body_may_take_longer_than_a_command(fake: FakeImap, upstream: Upstream) -> None:
    upstream.timeouts = HASTY
    [uid] = fake.deliver("ann", [b"x" * 4000])
    mailbox = await upstream.open()
    fake.on("UID FETCH", Delay(0.2), uid=1)
    assert await read(mailbox, 1) == ONE
    assert len(await read(mailbox, uid)) == 4000


@pytest.mark.parametrize("verb", ["LOGIN", "SELECT", "UID FETCH"])
async def test_a_reconnection_that_is_cancelled_leaves_no_connection_behind(
    fake: FakeImap, upstream: Upstream, verb: str
) -> None:
    mailbox = await upstream.open()
    fake.drop()
    asked, answer = threading.Event(), threading.Event()
    fake.on(verb, lambda *_: asked.set(), Hold(answer), when=lambda connection, _: connection.number == 2)
    task = asyncio.create_task(read(mailbox, 1))
    await asyncio.to_thread(asked.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answer.set()
    await mailbox.close()
    await asyncio.to_thread(fake.wait_until_idle)
