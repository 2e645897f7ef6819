"""What was remembered counts for the mailbox and the messages that it was said of, and for no others."""

import time

import pytest

from tests.fakes.faults import Close, Edit, Say
from tests.fakes.imap import FakeImap
from tests.fakes.row_faults import Oldest
from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.server.sessions import MAIL, behind, delete, delete_first, shown
from tests.servers.fixtures import Mailbox


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


def test_a_uid_that_is_given_anew_is_not_hidden(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, on_delete="keep")
    assert delete_first(gateway, drop).startswith(b"+OK")
    drop.expunge([1])
    (new,) = drop.deliver([b"Subject: nobody has seen this yet\r\n\r\n"])
    fake.renumber(drop.user, validity=drop.uid_validity(), uids={2: 2, 3: 3, new: 1})
    assert len(shown(gateway, drop)) == 3


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


def test_a_mailbox_that_lost_its_identity_is_not_shown_until_that_persists(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, guard={"confirm_after": 1})
    assert shown(gateway, drop) == MAIL
    fake.renumber(drop.user, validity=77)
    with RawClient(gateway.port) as client:
        assert client.log_in(drop).startswith(b"-ERR [SYS/TEMP] service unavailable: UIDVALIDITY changed from ")
    gateway.wait_for("mailbox not shown: it looks damaged (maildrop.guard)", seconds_left=1)
    time.sleep(1.1)  # the operator's setting is what is waited for
    assert shown(gateway, drop) == MAIL
    gateway.wait_for("mailbox shown again", messages=3)


def test_a_mailbox_that_lost_most_of_its_messages_is_not_shown(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    uids = drop.deliver(MAIL * 20)
    gateway = behind(start_gateway, fake)
    assert len(shown(gateway, drop)) == 63
    drop.expunge(uids)
    with RawClient(gateway.port) as client:
        assert client.log_in(drop) == (
            b"-ERR [SYS/TEMP] service unavailable: 60 of 63 messages are missing; "
            b"the mailbox is shown in 5 minutes if that stays so"
        )
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


def test_what_is_hidden_stays_so_when_the_mailbox_was_only_half_there_for_a_moment(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    drop.deliver(MAIL * 20)
    gateway = behind(start_gateway, fake, on_delete="keep")
    assert delete(gateway, drop, 60, 61, 62) == b"+OK 3 messages deleted"
    assert len(shown(gateway, drop)) == 60
    half = [
        fake.on("SELECT", Edit(r"\* \d+ EXISTS", "* 2 EXISTS")),
        fake.on("UID FETCH", Oldest(2)),
        fake.on("UID SEARCH", Say("OK done")),
    ]
    with RawClient(gateway.port) as client:
        assert client.log_in(drop).startswith(b"-ERR [SYS/TEMP]")
    fake.forgive(*half)
    assert len(shown(gateway, drop)) == 60


def test_deletions_that_leave_the_messages_there_are_no_loss_that_is_doubted(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    drop.deliver(MAIL * 20)
    gateway = behind(start_gateway, fake, on_delete="flag")
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete(gateway, drop, *range(1, 61)) == b"+OK 60 messages deleted"
    assert len(shown(gateway, drop)) == 3
    fake.forgive(rule)
    assert len(shown(gateway, drop)) == 3


def test_deletions_that_were_done_and_refused_are_no_loss_that_is_doubted(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    drop.deliver(MAIL * 20)
    gateway = behind(start_gateway, fake)
    fake.on("UID EXPUNGE", Edit(r"^OK.*", "NO strange"))
    assert delete(gateway, drop, *range(1, 61)).startswith(b"-ERR")
    assert len(shown(gateway, drop)) == 3


@pytest.mark.parametrize("told", ["99999999999999999999", "9223372036854775808", "-5", "0"])
def test_an_absurd_uidnext_is_passed_over(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox, told: str
) -> None:
    gateway = behind(start_gateway, fake, on_delete="keep")
    assert delete_first(gateway, drop).startswith(b"+OK")
    rule = fake.on("SELECT", Edit(r"UIDNEXT \d+", f"UIDNEXT {told}"))
    assert shown(gateway, drop) == MAIL[1:]
    fake.forgive(rule)
    assert shown(gateway, drop) == MAIL[1:]


def test_a_server_that_gave_a_uid_anew_is_found_out_although_it_did_not_tell_uidnext_once(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, on_delete="keep")
    assert delete_first(gateway, drop).startswith(b"+OK")
    rule = fake.on("SELECT", Edit("UIDNEXT", None))
    assert shown(gateway, drop) == MAIL[1:]
    fake.forgive(rule)
    drop.expunge([1, 2, 3])
    (new,) = drop.deliver([b"Subject: ONE\r\n\r\n"])
    fake.renumber(drop.user, validity=drop.uid_validity(), uids={new: 1})
    assert shown(gateway, drop) == [b"Subject: ONE\r\n\r\n"]
