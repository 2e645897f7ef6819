"""What QUIT was answered with holds, whatever the upstream does then."""

import sqlite3
import time
from pathlib import Path

import pytest

from gateway.app import LEDGER_FILE
from tests.fakes.faults import Close, Delay, Say, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, new_mailbox

MAIL = [f"Subject: {word}\r\n\r\n".encode() for word in ("one", "two", "three")]


@pytest.fixture
def drop(fake: FakeImap) -> Mailbox:
    made = new_mailbox(fake)
    made.deliver(MAIL)
    return made


def behind(
    start_gateway: StartGateway, fake: FakeImap, state: str | None = None, **maildrop: object
) -> GatewayProcess:
    upstream = {
        "url": f"imaps://{fake.host}:{fake.imaps_port}",
        "ca_file": str(fake.ca_file),
        "timeouts": {"connect": 1, "response": 5, "open": 10},
    }
    kept = {"state": state} if state else {}
    return start_gateway(fake, upstream=upstream, maildrop=maildrop, **kept)


def delete_first(gateway: GatewayProcess, drop: Mailbox) -> bytes:
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("DELE 1")
        return client.ask("QUIT")


def shown(gateway: GatewayProcess, drop: Mailbox) -> list[bytes]:
    with RawClient(gateway.port) as client:
        count = int(client.log_in(drop).split()[3])
        found = [client.message(f"RETR {number}") for number in range(1, count + 1)]
        client.ask("QUIT")
        return found


@pytest.mark.parametrize("verb", ["UID STORE", "UID EXPUNGE"])
@pytest.mark.parametrize(
    "fault", [Say("NO [UNAVAILABLE] later"), Close(), Close(done=True), Close(octets=3)], ids=repr
)
def test_what_the_upstream_cannot_do_now_is_done_by_the_next_session(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, verb: str, fault: Fault
) -> None:
    gateway = behind(start_gateway, fake)
    rule = fake.on(verb, fault)
    assert delete_first(gateway, drop).startswith(b"+OK")
    assert shown(gateway, drop) == MAIL[1:]
    fake.forgive(rule)
    assert shown(gateway, drop) == MAIL[1:]
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]


def test_an_upstream_that_never_will_is_told_and_nothing_is_hidden(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake)
    fake.on("UID STORE", Say("NO [NOPERM] this mailbox is sacred"))
    assert delete_first(gateway, drop).startswith(b"-ERR [SYS/PERM] some deleted messages may not be removed")
    assert shown(gateway, drop) == MAIL


def test_the_reply_to_quit_does_not_wait_for_a_slow_upstream(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake)
    fake.on("UID STORE", Stall(), times=1)
    began = time.monotonic()
    assert delete_first(gateway, drop).startswith(b"+OK")
    assert time.monotonic() - began < 4  # Thunderbird waits three seconds, and the upstream is silent for five
    gateway.wait_for("deletion deferred")
    gateway.wait_for("session ended")
    assert shown(gateway, drop) == MAIL[1:]
    assert len(drop.messages()) == 2


def test_a_promise_survives_a_killed_gateway(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, tmp_path: object
) -> None:
    state = f"{tmp_path}/kept"
    settings = {
        "upstream": {"url": f"imaps://{fake.host}:{fake.imaps_port}", "ca_file": str(fake.ca_file)},
        "state": state,
    }
    first = start_gateway(fake, **settings)
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(first, drop).startswith(b"+OK")
    first.kill()
    fake.forgive(rule)
    assert shown(start_gateway(fake, **settings), drop) == MAIL[1:]
    assert len(drop.messages()) == 2


def test_a_mailbox_that_lost_its_identity_is_not_shown_until_that_persists(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, guard={"confirm_after": 1})
    assert shown(gateway, drop) == MAIL
    fake.renumber(drop.user, validity=77)
    with RawClient(gateway.port) as client:
        assert client.log_in(drop).startswith(b"-ERR [SYS/TEMP] service unavailable: the mailbox looks damaged")
    time.sleep(1.1)  # the operator's setting is what is waited for
    assert shown(gateway, drop) == MAIL


def test_a_mailbox_that_lost_most_of_its_messages_is_not_shown(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    uids = drop.deliver(MAIL * 20)
    gateway = behind(start_gateway, fake)
    assert len(shown(gateway, drop)) == 63
    drop.expunge(uids)
    with RawClient(gateway.port) as client:
        assert client.log_in(drop).startswith(b"-ERR [SYS/TEMP]")
    drop.deliver(MAIL * 20)
    assert len(shown(gateway, drop)) == 63


def test_a_client_that_empties_its_mailbox_is_not_doubted(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    drop.deliver(MAIL * 20)
    gateway = behind(start_gateway, fake)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        for number in range(1, 64):
            client.ask(f"DELE {number}")
        assert client.ask("QUIT") == b"+OK 63 messages deleted"
    assert shown(gateway, drop) == []


def test_more_deletions_than_allowed_are_none(start_gateway: StartGateway, fake: FakeImap, drop: Mailbox) -> None:
    gateway = behind(start_gateway, fake, max_deletes=1)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("DELE 1")
        client.ask("DELE 2")
        assert client.ask("QUIT").startswith(b"-ERR some deleted messages may not be removed: 2 deletions")
    assert len(drop.messages()) == 3
    assert delete_first(gateway, drop).startswith(b"+OK")
    assert len(drop.messages()) == 2


@pytest.mark.parametrize(("action", "flags"), [("keep", set()), ("flag", {"\\Deleted"})])
def test_what_is_kept_upstream_is_hidden_from_the_client(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, action: str, flags: set[str]
) -> None:
    gateway = behind(start_gateway, fake, on_delete=action)
    assert delete_first(gateway, drop).startswith(b"+OK")
    assert shown(gateway, drop) == MAIL[1:]
    assert len(drop.messages()) == 3
    assert drop.messages()[0].flags - {"\\Seen"} == flags


@pytest.mark.parametrize("without", ["MOVE", "nothing"])
def test_trash_is_where_the_upstream_says(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, without: str
) -> None:
    fake.settings.capabilities = [name for name in fake.settings.capabilities if name != without]
    drop.deliver([], "Papierkorb")
    fake.settings.special_use = {"Papierkorb": "\\Trash"}
    gateway = behind(start_gateway, fake, on_delete="trash")
    assert delete_first(gateway, drop).startswith(b"+OK")
    assert [stored.octets for stored in drop.messages("Papierkorb")] == MAIL[:1]
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]


def test_at_gmail_deleting_is_moving_to_the_bin(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    fake.settings.capabilities = [*fake.settings.capabilities, "X-GM-EXT-1"]
    drop.deliver([], "[Gmail]/Trash")
    fake.settings.special_use = {"[Gmail]/Trash": "\\Trash"}
    gateway = behind(start_gateway, fake)
    assert delete_first(gateway, drop).startswith(b"+OK")
    assert [stored.octets for stored in drop.messages("[Gmail]/Trash")] == MAIL[:1]


def test_sizes_that_the_upstream_tells_wrong_are_learned(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    drop.deliver([b"Subject: unix\n\none\n"])
    gateway = behind(start_gateway, fake)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert client.ask("LIST 4") == b"+OK 4 19"
        assert len(client.message("RETR 4")) == 22
        assert client.ask("LIST 4") == b"+OK 4 19"  # the snapshot does not move
        client.ask("QUIT")
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert client.ask("LIST 4") == b"+OK 4 22"


def test_a_keyword_is_set_on_what_was_retrieved(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, on_retrieve="keyword $Fetched")
    assert shown(gateway, drop) == MAIL
    assert all("$Fetched" in stored.flags and "\\Seen" not in stored.flags for stored in drop.messages())


def test_a_second_session_takes_over_where_that_is_chosen(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, lock="takeover")
    with RawClient(gateway.port) as first, RawClient(gateway.port) as second:
        first.log_in(drop)
        first.ask("DELE 1")
        assert second.log_in(drop) == b"+OK maildrop has 3 messages (50 octets)"
        assert first.line() == b""
        assert second.ask("NOOP") == b"+OK"


def test_sessions_work_side_by_side_where_that_is_chosen(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, lock="shared")
    with RawClient(gateway.port) as first, RawClient(gateway.port) as second:
        first.log_in(drop)
        second.log_in(drop)
        first.ask("DELE 1")
        assert first.ask("QUIT").startswith(b"+OK")
        assert second.ask("STAT") == b"+OK 3 50"
        assert second.ask("RETR 1").startswith(b"-ERR this message was removed by another program")
        assert second.message("RETR 2") == MAIL[1]


def test_a_promise_never_takes_another_message_that_got_its_uid(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    """Some servers give UIDs anew after a restart, and UIDVALIDITY stays."""
    gateway = behind(start_gateway, fake)
    rule = fake.on("UID EXPUNGE", Close())
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("DELE 3")
        assert client.ask("QUIT").startswith(b"+OK")
    fake.forgive(rule)
    drop.expunge([3])
    (new,) = drop.deliver([b"Subject: nobody has seen this yet\r\n\r\n"])
    fake.renumber(drop.user, validity=drop.uid_validity(), uids={1: 1, 2: 2, new: 3})
    assert shown(gateway, drop) == [*MAIL[:2], b"Subject: nobody has seen this yet\r\n\r\n"]
    assert len(drop.messages()) == 3


def test_what_is_to_stay_flagged_is_flagged_later_and_hidden_all_the_time(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, on_delete="flag")
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(gateway, drop).startswith(b"+OK")
    fake.forgive(rule)
    for _ in range(3):
        assert shown(gateway, drop) == MAIL[1:]
    assert [("\\Deleted" in stored.flags) for stored in drop.messages()] == [True, False, False]


def test_a_uid_that_is_given_anew_is_not_hidden(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, on_delete="keep")
    assert delete_first(gateway, drop).startswith(b"+OK")
    drop.expunge([1])
    (new,) = drop.deliver([b"Subject: nobody has seen this yet\r\n\r\n"])
    fake.renumber(drop.user, validity=drop.uid_validity(), uids={2: 2, 3: 3, new: 1})
    assert len(shown(gateway, drop)) == 3


def test_a_promise_that_stalls_delays_no_later_login(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    """It is tried when nobody waits: after the session, and not at all where one does wait."""
    gateway = behind(start_gateway, fake, lock="takeover")
    fake.on("UID STORE", Stall())
    assert delete_first(gateway, drop).startswith(b"+OK")
    for _ in range(3):
        before = len(fake.connections)
        with RawClient(gateway.port) as client:
            assert client.log_in(drop).startswith(b"+OK maildrop has 2 messages")
            assert "UID STORE" not in fake.connections[before].verbs  # no client waits for it
            assert client.ask("QUIT").startswith(b"+OK")
    gateway.wait_for("deletion deferred")


def test_a_session_that_is_cut_off_keeps_older_promises_all_the_same(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake)
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(gateway, drop).startswith(b"+OK")
    fake.forgive(rule)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("DELE 1")
    gateway.wait_for("deferred deletions carried out")
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]


def test_a_move_that_keeps_failing_half_way_leaves_one_copy(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    fake.settings.capabilities = [name for name in fake.settings.capabilities if name != "MOVE"]
    drop.deliver([], "Bin")
    gateway = behind(start_gateway, fake, on_delete="trash", trash="Bin")
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(gateway, drop).startswith(b"+OK")
    for _ in range(3):
        assert shown(gateway, drop) == MAIL[1:]
    fake.forgive(rule)
    shown(gateway, drop)
    assert [stored.octets for stored in drop.messages("Bin")] == MAIL[:1]
    assert [stored.octets for stored in drop.messages()] == MAIL[1:]


def test_a_promise_of_an_earlier_policy_is_not_carried_out_by_one_that_keeps(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, tmp_path: object
) -> None:
    settings = {
        "upstream": {"url": f"imaps://{fake.host}:{fake.imaps_port}", "ca_file": str(fake.ca_file)},
        "state": f"{tmp_path}/kept",
    }
    first = start_gateway(fake, **settings)
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(first, drop).startswith(b"+OK")
    first.stop()
    fake.forgive(rule)
    assert shown(start_gateway(fake, **settings, maildrop={"on_delete": "keep"}), drop) == MAIL[1:]
    assert [stored.flags - {"\\Seen"} for stored in drop.messages()] == [set(), set(), set()]


def test_a_refusal_that_comes_just_before_the_reply_is_told_and_taken_back(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, tmp_path: object
) -> None:
    """The ledger is busy when the intent is to be taken back, and the time for the reply is over meanwhile."""
    state = Path(f"{tmp_path}/kept")
    gateway = behind(start_gateway, fake, state=str(state))
    fake.on("UID STORE", Delay(1.5), Say("NO [NOPERM] this mailbox is sacred"))
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("DELE 1")
        client.send(b"QUIT\r\n")
        while "UID STORE" not in fake.verbs:
            time.sleep(0.01)
        database = sqlite3.connect(state / LEDGER_FILE, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        time.sleep(2.5)
        database.close()
        assert client.line().startswith(b"-ERR [SYS/")
    assert shown(gateway, drop) == MAIL
