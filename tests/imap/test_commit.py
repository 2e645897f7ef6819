"""QUIT upstream: just what was asked for, nothing of anybody else's, and the truth about it."""

from dataclasses import replace
from random import Random

import pytest

from gateway.errors import (
    GatewayError,
    Refused,
    UpstreamError,
    UpstreamRefused,
    UpstreamSilent,
    UpstreamUnreachable,
)
from gateway.imap.client import Client
from gateway.imap.commit import delete
from gateway.imap.listing import take_snapshot
from gateway.imap.login import log_in
from gateway.imap.uid_set import SET_MESSAGES
from gateway.maildrop import CommitPlan, OnDelete, Policy
from gateway.ports import Account, Endpoint, TlsMode, forget_copied
from gateway.sasl import Credentials, Secret
from gateway.telemetry.events import CommandFailed, UpstreamReconnected
from tests.fakes.faults import Bye, Close, Edit, ReadOnly, Say, Send, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.row_faults import Newest
from tests.fuzz.far_end import SECONDS, FarEnd
from tests.fuzz.targets.listing import LOGIN
from tests.imap.conftest import BREAKS, HASTY, ONE, Upstream, commit, flags, since_login, uids

UIDPLUS = ["IMAP4rev1", "UIDPLUS"]
REV2 = ["IMAP4rev1", "IMAP4rev2", "UIDPLUS"]
BARE = ["IMAP4rev1"]


@pytest.mark.parametrize("capabilities", [UIDPLUS, REV2])
async def test_with_uidplus_just_ours_is_removed(
    others: FakeImap, upstream: Upstream, capabilities: list[str]
) -> None:
    others.settings.capabilities = capabilities
    await commit(await upstream.open(), delete=(1,))
    assert uids(others) == [2, 3]
    assert since_login(others) == ["UID STORE", "UID EXPUNGE", "UID SEARCH"]


async def test_uidplus_that_is_announced_only_after_the_login_counts(others: FakeImap, upstream: Upstream) -> None:
    others.settings.capabilities = BARE
    others.settings.capabilities_after_login = UIDPLUS
    await commit(await upstream.open(), delete=(1,))
    assert uids(others) == [2, 3]


async def test_capabilities_that_were_not_told_are_asked_for_once(others: FakeImap, upstream: Upstream) -> None:
    others.settings.capability_after_login = False
    await commit(await upstream.open(), delete=(1, 2))
    assert uids(others) == [3]
    assert since_login(others) == ["CAPABILITY", "UID STORE", "UID EXPUNGE", "UID SEARCH"]


async def test_another_client_that_flags_at_the_last_moment_loses_nothing_with_uidplus(
    fake: FakeImap, upstream: Upstream
) -> None:
    fake.on("UID EXPUNGE", lambda *_: fake.flag("ann", [2], "\\Deleted"))
    await commit(await upstream.open(), delete=(1,))
    assert uids(fake) == [2, 3]


async def test_on_delete_flag_only_flags(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open(upstream.account(on_delete=OnDelete.FLAG))
    await commit(mailbox, delete=(1,))
    assert flags(fake) == {1: {"\\Deleted"}, 2: set(), 3: set()}
    assert since_login(fake) == ["UID STORE"]


async def test_what_was_retrieved_and_kept_is_seen(fake: FakeImap, upstream: Upstream) -> None:
    await commit(await upstream.open(), delete=(1,), retrieved=(2, 3))
    assert flags(fake) == {2: {"\\Seen"}, 3: {"\\Seen"}}


async def test_on_retrieve_nothing_leaves_no_trace(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open(upstream.account(retrieved_flag=None))
    await commit(mailbox, retrieved=(2,))
    assert flags(fake)[2] == set()
    assert since_login(fake) == []


async def test_flags_that_others_set_stay(fake: FakeImap, upstream: Upstream) -> None:
    fake.flag("ann", [1], "\\Flagged", "$work")
    await commit(await upstream.open(), retrieved=(1,))
    assert flags(fake)[1] == {"\\Flagged", "$work", "\\Seen"}


async def test_thousands_of_messages_go_in_lines_that_every_server_takes(
    fake: FakeImap, upstream: Upstream
) -> None:
    fake.deliver("ann", [ONE] * 2500)
    even = tuple(uid for uid in uids(fake) if uid % 2 == 0)
    await commit(await upstream.open(), delete=even)
    assert all(uid % 2 for uid in uids(fake))
    assert max(len(command.line) for command in fake.log) < 4100


async def test_a_message_that_another_client_removed_is_no_reason_to_fail(
    fake: FakeImap, upstream: Upstream
) -> None:
    mailbox = await upstream.open()
    fake.expunge("ann", [1])
    await commit(mailbox, delete=(1, 2))
    assert uids(fake) == [3]


# When it is refused


@pytest.mark.parametrize("verb", ["UID STORE", "UID EXPUNGE"])
@pytest.mark.parametrize("fault", [Say("NO no"), Say("NO [LIMIT] later"), Say("BAD what")], ids=repr)
async def test_a_no_is_told_and_the_connection_stays(
    fake: FakeImap, upstream: Upstream, verb: str, fault: Fault
) -> None:
    mailbox = await upstream.open()
    fake.on(verb, fault)
    with pytest.raises(UpstreamRefused):
        await commit(mailbox, delete=(1,))
    assert uids(fake) == [1, 2, 3]
    fake.forgive()
    await commit(mailbox, delete=(1,))
    assert fake.counts.connections == 1


async def test_without_the_flag_nothing_is_expunged(others: FakeImap, upstream: Upstream) -> None:
    others.settings.capabilities = BARE
    mailbox = await upstream.open()
    others.on("UID STORE", Say("NO [NOPERM] no"))
    with pytest.raises(GatewayError):
        await commit(mailbox, delete=(1,))
    assert not {"EXPUNGE", "UID EXPUNGE"} & set(others.verbs)


@pytest.mark.parametrize("verb", ["UID STORE", "UID EXPUNGE"])
async def test_silence_is_told_and_not_asked_for_twice(fake: FakeImap, upstream: Upstream, verb: str) -> None:
    upstream.timeouts = HASTY
    mailbox = await upstream.open()
    fake.on(verb, Stall())
    with pytest.raises(UpstreamSilent):
        await commit(mailbox, delete=(1,))
    assert fake.counts.connections == 1
    assert fake.verbs.count(verb) == 1


# When the connection breaks


@pytest.mark.parametrize("capabilities", [UIDPLUS, BARE], ids=["UIDPLUS", "bare"])
@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("fault", BREAKS, ids=repr)
async def test_a_connection_that_breaks_is_replaced_and_the_outcome_is_as_asked(
    fake: FakeImap, upstream: Upstream, capabilities: list[str], step: int, fault: Fault
) -> None:
    fake.settings.capabilities = capabilities
    steps = (
        ["UID STORE", "UID EXPUNGE"]
        if capabilities is UIDPLUS
        else ["UID SEARCH", "UID STORE", "UID SEARCH", "EXPUNGE", "UID SEARCH"]
    )
    mailbox = await upstream.open()
    fake.on(steps[(step - 1) % len(steps)], fault, times=1)
    await commit(mailbox, delete=(1, 2), retrieved=(3,))
    assert flags(fake) == {3: {"\\Seen"}}
    assert fake.counts.connections == 2
    assert [type(event) for event in upstream.events] == [UpstreamReconnected]


@pytest.mark.parametrize("verb", ["UID STORE", "UID EXPUNGE"])
@pytest.mark.parametrize("fault", BREAKS[:2], ids=repr)
async def test_one_that_breaks_every_time_is_an_error_and_not_tried_for_ever(
    fake: FakeImap, upstream: Upstream, verb: str, fault: Fault
) -> None:
    mailbox = await upstream.open()
    fake.on(verb, fault)
    with pytest.raises(UpstreamUnreachable):
        await commit(mailbox, delete=(1,))
    assert fake.counts.connections == 2


@pytest.mark.parametrize("on_delete", [OnDelete.EXPUNGE, OnDelete.TRASH])
async def test_what_a_new_connection_does_not_show_is_not_taken_for_deleted(
    fake: FakeImap, upstream: Upstream, on_delete: OnDelete
) -> None:
    """A mailbox may be away for a moment: nor is there a copy of what a COPY did not see."""
    fake.settings.capabilities = UIDPLUS
    fake.deliver("ann", [], "Bin")
    account = upstream.account(on_delete=on_delete)
    account = replace(account, policy=replace(account.policy, trash="Bin"))
    mailbox = await upstream.open(account)
    fake.on("UID STORE" if on_delete is OnDelete.EXPUNGE else "UID COPY", Close(), times=1)
    away = fake.on("UID FETCH", Newest(1))
    short = fake.on("SELECT", Edit(r"\* \d+ EXISTS", "* 1 EXISTS"))
    copied: list[int] = []
    assert not await mailbox.commit(CommitPlan(mailbox.snapshot.uidvalidity, (1, 3)), copied.extend)
    assert copied == ([] if on_delete is OnDelete.EXPUNGE else [3])
    fake.forgive(away, short)
    fake.drop()
    assert await mailbox.commit(CommitPlan(mailbox.snapshot.uidvalidity, ())) is True


async def test_a_mailbox_that_was_made_anew_meanwhile_is_left_alone(fake: FakeImap, upstream: Upstream) -> None:
    mailbox = await upstream.open()
    fake.renumber("ann")
    fake.drop()
    with pytest.raises(UpstreamError, match="UIDVALIDITY changed"):
        await commit(mailbox, delete=(1,))
    assert len(uids(fake)) == 3
    assert "UID STORE" not in fake.verbs


# When only the seen flag fails: nobody loses mail by it


@pytest.mark.parametrize(
    "fault",
    [
        Say("NO no"),
        Say("NO [NOPERM] no"),
        Say("NO [INUSE] no"),
        Say("NO [EXPIRED] no"),
        Say("BAD what"),
        Close(),
        Bye(),
        Send("garbage\r\n"),
    ],
    ids=repr,
)
async def test_quit_succeeds_although_seen_could_not_be_set(
    fake: FakeImap, upstream: Upstream, fault: Fault
) -> None:
    mailbox = await upstream.open()
    fake.on("UID STORE", fault, has="Seen")
    await commit(mailbox, delete=(1,), retrieved=(2,))
    assert uids(fake) == [2, 3]
    assert CommandFailed in [type(event) for event in upstream.events]


async def test_quit_succeeds_although_the_password_was_changed_before_seen_could_be_set(
    fake: FakeImap, upstream: Upstream
) -> None:
    mailbox = await upstream.open()
    fake.add_user("ann", "changed")
    fake.on("UID STORE", Close(), has="Seen")
    await commit(mailbox, delete=(1,), retrieved=(2,))
    assert uids(fake) == [2, 3]


async def test_quit_in_a_read_only_mailbox_costs_no_second_login_and_no_warning(
    fake: FakeImap, upstream: Upstream
) -> None:
    fake.on("SELECT", ReadOnly())
    await commit(await upstream.open(), retrieved=(1,))
    assert fake.counts.connections == 1
    assert upstream.events == []


# What ports.Mailbox promises


@pytest.mark.parametrize("code", ["INUSE", "EXPIRED", "AUTHENTICATIONFAILED", "NOPERM", "LIMIT"])
async def test_every_error_of_an_open_mailbox_is_an_upstream_error(
    fake: FakeImap, upstream: Upstream, code: str
) -> None:
    mailbox = await upstream.open()
    fake.on("UID STORE", Say(f"NO [{code}] no"))
    fake.on("UID FETCH", Say(f"NO [{code}] no"))
    for attempt in (lambda: commit(mailbox, delete=(1,)), lambda: mailbox.open_body(1)):
        with pytest.raises((UpstreamError, Refused)):
            await attempt()


async def test_also_when_the_password_was_changed_and_the_connection_broke(
    fake: FakeImap, upstream: Upstream
) -> None:
    mailbox = await upstream.open()
    fake.add_user("ann", "changed")
    fake.drop()
    with pytest.raises((UpstreamError, Refused)):
        await mailbox.open_body(1)


def test_an_expunge_may_tell_of_as_many_messages_as_a_command_may_name() -> None:
    """A limit on what imaplib keeps must not stop a QUIT that empties a large mailbox."""
    uids = tuple(range(1, SET_MESSAGES + 1))
    selected = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 9] valid\r\n@1 OK done\r\n"
    listed = b"* 1 FETCH (UID 7 RFC822.SIZE 5)\r\n@2 OK done\r\n"
    row = b"* 1 EXPUNGE\r\n* %d EXISTS\r\n" % len(uids)
    told = b"@3 OK done\r\n" + row * len(uids) + b"@4 OK done\r\n* SEARCH\r\n@5 OK done\r\n"
    server = FarEnd(LOGIN + selected + listed + told, Random(0))
    credentials = Credentials("ann", Secret("secret"))
    ann = Account(Endpoint("h", 143, TlsMode.NONE), credentials, "INBOX", Policy(OnDelete.EXPUNGE))
    client = Client(server, ann.endpoint)
    log_in(client, credentials)
    take_snapshot(client, "INBOX", SECONDS)
    delete(client, CommitPlan(9, uids), ann, SECONDS, forget_copied)
    assert server.readline() == b""  # all that the server said was read, and taken for success
