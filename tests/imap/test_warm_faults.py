"""Warm connections that die: while they rest, at the next login, and what the login makes of it."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import (
    GatewayError,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
)
from gateway.imap import connections as rules
from gateway.ports import Endpoint, TlsMode
from gateway.telemetry.events import WarmConnectionLost
from tests.fakes.faults import Bye, Close, Delay, Say, Send, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.faults.relay import End, Relay
from tests.imap.conftest import (
    COLD,
    HASTY,
    ONE,
    POLL,
    TWO,
    Upstream,
    poll,
    read,
    secured,
    settled,
)


def lost(upstream: Upstream) -> int:
    return sum(isinstance(event, WarmConnectionLost) for event in upstream.events)


# How they die


def half_a_line(fake: FakeImap) -> None:
    for connection in fake.open:
        connection._put(b"* 1 EXI")


def restart(fake: FakeImap) -> None:
    fake.down()
    fake.up()


DEATHS: dict[str, Callable[[FakeImap], None]] = {
    "FIN": lambda fake: fake.drop(),
    "RST": lambda fake: fake.drop(reset=True),
    "BYE and FIN": lambda fake: fake.drop("* BYE idle for too long"),
    "bye, and nothing more": lambda fake: fake.push("* bye [UNAVAILABLE] leave"),
    "news, then BYE": lambda fake: fake.push("* 4 EXISTS", "* BYE"),
    "no IMAP": lambda fake: fake.push("HTTP/1.1 408 Request Timeout"),
    "an answer that nobody asked for": lambda fake: fake.push("GW1 OK done"),
    "half a literal": lambda fake: fake.push("* 1 FETCH (BODY[] {1000}"),
    "half a line": half_a_line,
    "a flood": lambda fake: fake.push(*["* OK x" * 1000] * 100),
    "a restart": restart,
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
@pytest.mark.parametrize("mode", [TlsMode.NONE, TlsMode.IMPLICIT])
async def test_one_that_died_while_it_rested_is_replaced_without_a_trace(
    secure_fake: FakeImap, secure_warm: Upstream, mode: TlsMode, death: Callable[[FakeImap], None]
) -> None:
    secure_warm.endpoint = secured(secure_fake, mode)
    await poll(secure_warm)
    await asyncio.to_thread(death, secure_fake)
    mailbox = await secure_warm.open()
    assert await read(mailbox, 1) == ONE
    assert secure_fake.verbs == [*COLD, *COLD, "UID FETCH"]
    assert lost(secure_warm) == 1


@pytest.mark.parametrize("mode", [TlsMode.NONE, TlsMode.IMPLICIT])
@pytest.mark.parametrize(
    "news",
    ["* 9 EXISTS", "* OK still here", "* 1 FETCH (FLAGS (\\Seen))", "* 1 EXPUNGE", "* OK [READ-ONLY] hm", "* "],
)
async def test_one_that_was_told_news_is_as_good_as_before(
    secure_fake: FakeImap, secure_warm: Upstream, mode: TlsMode, news: str
) -> None:
    secure_warm.endpoint = secured(secure_fake, mode)
    await poll(secure_warm)
    secure_fake.push(news, news)
    snapshot = (await poll(secure_warm)).snapshot
    assert (list(snapshot.uids), snapshot.read_only) == ([1, 2, 3], False)
    assert secure_fake.verbs == COLD + POLL


@pytest.mark.parametrize("verb", POLL)
@pytest.mark.parametrize(
    "fault",
    [
        Close(),
        Close(reset=True),
        Close(octets=20),
        Bye(),
        Send("garbage\r\n"),
        Say("NO [SERVERBUG] who are you?"),
        Say("BAD User is authenticated but not connected."),
        Say("NO [AUTHENTICATIONFAILED] your token has expired"),
        Say("NO [INUSE] wait"),
    ],
    ids=repr,
)
async def test_what_fails_on_a_warm_connection_is_tried_on_a_new_one(
    fake: FakeImap, warm: Upstream, verb: str, fault: Fault
) -> None:
    await poll(warm)
    fake.on(verb, fault, connection=1)
    mailbox = await warm.open()
    assert await read(mailbox, 2) == TWO
    assert fake.connections[1].verbs == [*COLD, "UID FETCH"]
    await settled(lambda: len(fake.open) == 1)


@pytest.mark.parametrize(
    ("fault", "kind"), [(Close(), UpstreamUnreachable), (Say("NO [SERVERBUG] oops"), UpstreamRefused)], ids=repr
)
async def test_and_what_fails_there_too_is_the_servers_last_word(
    fake: FakeImap, warm: Upstream, fault: Fault, kind: type[GatewayError]
) -> None:
    await poll(warm)
    fake.on("SELECT", fault)
    with pytest.raises(kind):
        await warm.open()
    assert fake.counts.connections == 2
    await settled(lambda: not fake.open)


async def test_one_whose_server_fell_silent_is_waited_for_a_moment_only(
    fake: FakeImap, warm: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router in between forgot it: what is sent vanishes, and nothing says so."""
    monkeypatch.setattr(rules, "FIRST_ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(rules, "RETRY_WITHIN_SECONDS", 5.0)  # less than is allowed for a whole answer
    with Relay(fake.imap_port) as relay:
        warm.endpoint = Endpoint("127.0.0.1", relay.port, TlsMode.NONE)
        await poll(warm)
        await asyncio.to_thread(relay.cut, End.STALL)
        mailbox = await warm.open()
        assert await read(mailbox, 1) == ONE
        assert relay.connections == 2
        await warm.close()


async def test_a_server_that_is_only_slow_is_waited_for_longer(
    fake: FakeImap, warm: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "FIRST_ANSWER_SECONDS", 0.2)
    await poll(warm)
    fake.on("UID FETCH", Delay(0.5))
    await poll(warm)
    assert fake.counts.connections == 1


async def test_what_took_long_to_fail_is_not_tried_again(
    fake: FakeImap, warm: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "RETRY_WITHIN_SECONDS", 0.0)
    warm.timeouts = HASTY
    await poll(warm)
    fake.on("SELECT", Stall())
    with pytest.raises(UpstreamSilent):
        await warm.open()
    assert fake.counts.connections == 1


async def test_a_session_whose_connection_drops_gets_a_new_one_and_not_a_warm_one(
    fake: FakeImap, warm: Upstream
) -> None:
    mailbox = await warm.open()
    await poll(warm)
    fake.connections[0].cut()
    assert await read(mailbox, 1) == ONE
    assert fake.verbs.count("LOGIN") == 3
