"""What a client reads when the mail server behind is down, slow, refuses or lies: the truth, and soon."""

import re
from collections.abc import Iterator

import pytest

from tests.fakes.faults import Bye, Close, Edit, Preauth, Say, Stall
from tests.fakes.imap import FakeImap
from tests.fakes.imap_connection import Fault
from tests.fakes.row_faults import Item, NoRow
from tests.gateway_process import GatewayProcess, StartGateway, settings_for
from tests.server.pop3_client import RawClient
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates

QUICK = {"connect": 1, "response": 1, "open": 2}
# A password that was wrong a moment ago is not put to the mail server again, but for who is trusted.
TRUSTING = {"guesses": {"trusted": "127.0.0.1"}}


@pytest.fixture
def drop(fake: FakeImap) -> Mailbox:
    return new_mailbox(fake)


@pytest.fixture(scope="module")
def shared(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[GatewayProcess, FakeImap]]:
    """One gateway for the many cases of a table; each has a mailbox of its own."""
    folder = tmp_path_factory.mktemp("shared")
    with FakeImap(certificates) as fake:
        settings = settings_for(fake, certificates, folder)
        settings["upstream"]["timeouts"] = QUICK
        settings["limits"] = TRUSTING
        with GatewayProcess(settings, folder) as gateway:
            yield gateway, fake


def behind(start_gateway: StartGateway, fake: FakeImap) -> GatewayProcess:
    upstream = {
        "url": f"imaps://{fake.host}:{fake.imaps_port}",
        "ca_file": str(fake.ca_file),
        "timeouts": QUICK,
    }
    return start_gateway(fake, upstream=upstream, limits=TRUSTING)


@pytest.mark.parametrize(
    ("moment", "fault", "code"),
    [
        ("GREETING", Stall(), b"SYS/TEMP"),
        ("GREETING", Close(), b"SYS/TEMP"),
        ("GREETING", Bye("[UNAVAILABLE] come back later"), b"SYS/TEMP"),
        ("GREETING", Preauth("ann"), b"SYS/PERM"),
        # Of a stored account's password this is no word to the client.
        pytest.param("LOGIN", Say("NO [AUTHENTICATIONFAILED] no"), b"AUTH", marks=pytest.mark.pass_through),
        pytest.param("LOGIN", Say("NO LOGIN failed."), b"AUTH", marks=pytest.mark.pass_through),
        ("LOGIN", Say("NO [UNAVAILABLE] the user database is down"), b"SYS/TEMP"),
        ("LOGIN", Say("NO [LIMIT] too many connections"), b"SYS/TEMP"),
        ("LOGIN", Say("NO [INUSE] the mailbox is locked"), b"IN-USE"),
        ("LOGIN", Say("NO [ALERT] Too many simultaneous connections. (Failure)"), b"SYS/TEMP"),
        ("LOGIN", Say("NO [CONTACTADMIN] the account is suspended"), b"SYS/PERM"),
        ("LOGIN", Say("BAD what?"), b"SYS/TEMP"),
        ("LOGIN", Close(), b"SYS/TEMP"),
        ("LOGIN", Stall(), b"SYS/TEMP"),
        ("SELECT", Say("NO [SERVERBUG] oops"), b"SYS/TEMP"),
        ("SELECT", Say("NO [NONEXISTENT] no such mailbox"), b"SYS/PERM"),
        ("SELECT", Close(), b"SYS/TEMP"),
        ("UID FETCH", Say("NO [LIMIT] slow down"), b"SYS/TEMP"),
        ("UID FETCH", Say("OK but nothing is listed"), b"SYS/TEMP"),
        ("UID FETCH", NoRow(), b"SYS/TEMP"),
        ("UID FETCH", Item("RFC822.SIZE", "99999999999999999999"), b"SYS/TEMP"),
        ("UID FETCH", Item("UID", "4294967296"), b"SYS/TEMP"),
        ("UID FETCH", Stall(), b"SYS/TEMP"),
    ],
)
def test_a_login_that_fails_says_why(
    shared: tuple[GatewayProcess, FakeImap], moment: str, fault: Fault, code: bytes
) -> None:
    gateway, fake = shared
    drop = new_mailbox(fake)
    drop.deliver([b"Subject: one\r\n\r\n"])
    rule = fake.on(moment, fault)
    with RawClient(gateway.port) as client:
        try:
            reply = client.log_in(drop)
        finally:
            fake.forgive(rule)
        assert re.match(rb"-ERR \[([A-Z/-]+)\] [ -~]{10,}$", reply), reply
        assert reply.startswith(b"-ERR [" + code + b"]")
        assert client.log_in(drop) == b"+OK maildrop has 1 message (16 octets)"


def test_an_upstream_that_is_down_is_no_wrong_password_and_no_empty_maildrop(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = behind(start_gateway, fake)
    fake.down()
    with RawClient(gateway.port) as client:
        assert (
            client.log_in(drop)
            == b"-ERR [SYS/TEMP] service unavailable: the mail server cannot be reached now; try again later"
        )
        assert client.ask("STAT") == b"-ERR STAT is for after the login"
        fake.up()
        assert client.log_in(drop).startswith(b"+OK")


def test_an_upstream_whose_certificate_nobody_signed_gets_no_password(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    gateway = start_gateway(fake, upstream=f"imaps://{fake.host}:{fake.imaps_port}")
    with RawClient(gateway.port) as client:
        assert client.log_in(drop).startswith(b"-ERR [SYS/PERM]")
    assert fake.commands("LOGIN") == []


def test_starttls_is_demanded_where_the_url_is_imap(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    url = f"imap://{fake.host}:{fake.imap_port}"
    gateway = start_gateway(fake, upstream={"url": url, "ca_file": str(fake.ca_file)})
    stripped = fake.on("GREETING", Edit(" STARTTLS", ""))
    with RawClient(gateway.port) as client:
        assert client.log_in(drop).startswith(b"-ERR [SYS/PERM]")
        assert fake.commands("LOGIN") == []
        fake.forgive(stripped)
        assert client.log_in(drop).startswith(b"+OK")
    assert fake.connections[-1].secure


def test_a_dropped_connection_is_replaced_without_the_client_noticing(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    drop.deliver([b"Subject: one\r\n\r\n", b"Subject: two\r\n\r\n"])
    gateway = behind(start_gateway, fake)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert client.message("RETR 1") == b"Subject: one\r\n\r\n"
        fake.drop("* BYE [UNAVAILABLE] AccessTokenExpired")
        assert client.message("RETR 2") == b"Subject: two\r\n\r\n"
        client.ask("DELE 1")
        fake.drop("")
        assert client.ask("QUIT").startswith(b"+OK")
    assert [stored.octets for stored in drop.messages()] == [b"Subject: two\r\n\r\n"]


def test_a_quit_whose_deletions_fail_says_so(start_gateway: StartGateway, fake: FakeImap, drop: Mailbox) -> None:
    drop.deliver([b"Subject: one\r\n\r\n"])
    gateway = behind(start_gateway, fake)
    fake.on("UID STORE", Say("NO I never will"))
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.ask("DELE 1")
        assert client.ask("QUIT").startswith(b"-ERR [SYS/TEMP] some deleted messages may not be removed")
    assert len(drop.messages()) == 1


def test_a_message_that_breaks_off_is_never_ended_with_a_dot(
    start_gateway: StartGateway, fake: FakeImap, drop: Mailbox
) -> None:
    drop.deliver([b"Subject: long\r\n\r\n" + b"x" * 998_000, b"Subject: fine\r\n\r\n"])
    gateway = behind(start_gateway, fake)
    fake.on("UID FETCH", Close(octets=500_000, of="literal"), has="BODY", uid=1)
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        client.send(b"RETR 1\r\n")
        assert client.line().startswith(b"+OK")
        with pytest.raises(EOFError):
            list(client.body())
    gateway.wait_for("session ended")
    with RawClient(gateway.port) as client:
        client.log_in(drop)
        assert client.message("RETR 2") == b"Subject: fine\r\n\r\n"


def test_no_log_line_ever_holds_a_password(start_gateway: StartGateway, fake: FakeImap, drop: Mailbox) -> None:
    gateway = behind(start_gateway, fake)
    with RawClient(gateway.port) as client:
        for answer in (f"NO I know that {drop.password} is wrong", f"BAD syntax: LOGIN x {drop.password}"):
            fake.on("LOGIN", Say(answer), times=1)
            assert client.log_in(drop).startswith(b"-ERR")
        assert client.log_in(drop).startswith(b"+OK")
        client.ask("QUIT")
    assert gateway.stop() == 0
    assert drop.user in gateway.raw_log
    assert drop.password not in gateway.raw_log


@pytest.mark.parametrize("echo", ["NO {}", "BAD what is LOGIN x {}", "BYE {}"])
def test_nor_where_a_server_repeats_it_long_after_the_login(
    start_gateway: StartGateway, fake: FakeImap, echo: str
) -> None:
    """Whatever fails then, on a new connection or a warm one."""
    gateway, drops = behind(start_gateway, fake), []
    for verb in ("SELECT", "EXAMINE", "UID SEARCH", "UID FETCH", "UID STORE", "UID EXPUNGE", "NOOP"):
        for is_warm in (False, True):
            drops.append(drop := new_mailbox(fake))
            drop.deliver([b"Subject: some\r\n\r\n"] * 4)
            if is_warm:
                say(gateway, drop, "QUIT")
            words = echo.format(drop.password)
            fake.on(verb, Bye(words) if words.startswith("BYE") else Say(words), user=drop.user)
            say(gateway, drop, "RETR 2", "RETR 1", "RETR 2", "RETR 3", "DELE 4", "QUIT")
            fake.forgive()
    assert gateway.stop() == 0
    failed = [event for event in gateway.events if "repeats the password" in event.get("error", "")]
    assert {event["event"] for event in failed} >= {"login failed", "command failed"}
    assert not [drop for drop in drops if drop.password in gateway.raw_log]


def say(gateway: GatewayProcess, drop: Mailbox, *commands: str) -> None:
    """Whatever is answered."""
    with RawClient(gateway.port) as client:
        if client.log_in(drop).startswith(b"+OK"):
            for command in commands:
                if client.ask(command).startswith(b"+OK") and command.startswith("RETR"):
                    list(client.body())
