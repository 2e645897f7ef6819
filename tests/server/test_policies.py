"""What becomes of messages that the client deleted, by the operator's choice."""

from pathlib import Path

import pytest

from tests.fakes.faults import Say
from tests.fakes.imap import FakeImap
from tests.gateway_process import StartGateway
from tests.server.pop3_client import RawClient
from tests.server.sessions import MAIL, behind, delete_first, in_ledger, shown
from tests.servers.fixtures import Mailbox


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


def test_a_keyword_is_set_on_what_was_retrieved(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake, on_retrieve="keyword $Fetched")
    assert shown(gateway, drop) == MAIL
    assert all("$Fetched" in stored.flags and "\\Seen" not in stored.flags for stored in drop.messages())


def test_more_deletions_than_allowed_are_none(start_gateway: StartGateway, fake: FakeImap, drop: Mailbox) -> None:
    gateway = behind(start_gateway, fake, max_deletes=1)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("DELE 1")
        client.ask("DELE 2")
        reply = client.ask("QUIT")
    assert reply == b"-ERR nothing was deleted: 2 deletions are more than the 1 allowed"
    assert "maildrop.max_deletes" in gateway.wait_for("command failed")["error"]
    gateway.wait_for("session ended", deletions=0)
    assert len(drop.messages()) == 3
    assert delete_first(gateway, drop).startswith(b"+OK")
    assert len(drop.messages()) == 2


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


@pytest.mark.parametrize(("action", "flags"), [("keep", set()), ("flag", {"\\Deleted"})])
def test_what_an_earlier_policy_promised_to_remove_never_comes_back_under_one_that_leaves_it_there(
    start_gateway: StartGateway,
    fake: FakeImap,
    drop: Mailbox,
    tmp_path: Path,
    action: str,
    flags: set[str],
) -> None:
    first = behind(start_gateway, fake, tmp_path)
    rule = fake.on("UID STORE", Say("NO [UNAVAILABLE] later"))
    assert delete_first(first, drop).startswith(b"+OK")
    first.stop()
    fake.forgive(rule)
    gateway = behind(start_gateway, fake, tmp_path, on_delete=action)
    for _ in range(3):
        assert shown(gateway, drop) == MAIL[1:]
    assert [stored.flags - {"\\Seen"} for stored in drop.messages()] == [flags, set(), set()]
    assert in_ledger(tmp_path, "SELECT * FROM promised") == []


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
