"""One mailbox, several devices, each with a password of its own."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates

pytestmark = pytest.mark.pass_through  # its accounts are made by its own tests

MAIL = [b"Subject: %d\r\n\r\n" % number for number in range(3)]
Device = Callable[..., Mailbox]


@pytest.fixture
def gateway(start_gateway: StartGateway, mailbox: Mailbox) -> GatewayProcess:
    running = start_gateway(mailbox.server)
    mailbox.deliver(MAIL)
    running.account("add", mailbox.user, said=f"{mailbox.password}\n")
    return running


@pytest.fixture
def device(gateway: GatewayProcess, mailbox: Mailbox) -> Device:
    """A further password, made while the gateway runs."""

    def made(*options: str) -> Mailbox:
        told = gateway.account("password", "add", mailbox.user, *options)
        return replace(mailbox, password=told["password"])

    return made


def count(gateway: GatewayProcess, device: Mailbox) -> bytes:
    with RawClient(gateway.port) as client:
        reply = client.log_in(device)
        return client.ask("STAT").split()[1] if reply.startswith(b"+OK") else reply


def test_a_password_works_as_soon_as_it_is_made(gateway: GatewayProcess, device: Device) -> None:
    assert count(gateway, device()) == b"3"


def test_one_is_taken_back_and_the_others_stay(gateway: GatewayProcess, device: Device, mailbox: Mailbox) -> None:
    lost, kept = device("--label", "lost"), device("--label", "kept")
    assert count(gateway, lost) == count(gateway, kept) == b"3"
    told = gateway.account("show", mailbox.user)
    [name] = [password["name"] for password in told["passwords"] if password["label"] == "lost"]
    gateway.run("account", "password", "revoke", mailbox.user, name)
    assert count(gateway, lost).startswith(b"-ERR [AUTH]")
    assert count(gateway, kept) == b"3"


def test_a_read_only_device_believes_that_it_deletes(
    gateway: GatewayProcess, device: Device, mailbox: Mailbox
) -> None:
    archive, printer = device(), device("--read-only")
    with RawClient(gateway.port) as client:
        client.log_in(printer)
        assert client.message("RETR 1") == MAIL[0]
        assert client.ask("DELE 1").startswith(b"+OK")
        assert client.ask("DELE 2").startswith(b"+OK")
        assert client.ask("QUIT").startswith(b"+OK")
    assert count(gateway, printer) == b"1"
    assert count(gateway, archive) == b"3"
    assert [(stored.octets, stored.flags) for stored in mailbox.messages()] == [
        (mail, frozenset()) for mail in MAIL
    ]


def test_two_devices_have_one_maildrop(gateway: GatewayProcess, device: Device) -> None:
    """The lock is the mailbox's, whoever has it."""
    with RawClient(gateway.port) as client:
        client.log_in(device("--read-only"))
        assert count(gateway, device()).startswith(b"-ERR [IN-USE]")


def test_the_log_says_which_device_it_was(gateway: GatewayProcess, device: Device) -> None:
    count(gateway, device("--label", "the printer in the hall"))
    assert gateway.wait_for("logged in")["device"] == "the printer in the hall"


def test_a_password_of_another_network_says_so(gateway: GatewayProcess, device: Device) -> None:
    assert count(gateway, device("--network", "192.0.2.0/24")).startswith(b"-ERR [AUTH] this password is not for")
    assert count(gateway, device("--network", "127.0.0.0/8")) == b"3"


def test_a_right_password_in_a_wrong_place_is_no_guess(gateway: GatewayProcess, device: Device) -> None:
    """A device that was carried elsewhere keeps out neither itself, when it is back, nor any other."""
    at_home = device("--network", "127.0.0.1/32")
    for _ in range(3):
        with RawClient(gateway.port, source="127.0.0.2") as client:
            assert client.log_in(at_home).startswith(b"-ERR [AUTH] this password is not for")
    assert count(gateway, at_home) == b"3"
    assert "the same wrong password again" not in gateway.raw_log


def test_an_account_that_is_removed_lets_nobody_in(
    gateway: GatewayProcess, mailbox: Mailbox, device: Device
) -> None:
    phone = device()
    gateway.run("account", "remove", mailbox.user, "--yes")
    assert count(gateway, phone).startswith(b"-ERR [AUTH]")  # it is asked at the upstream now
    assert count(gateway, mailbox) == b"3"


def test_after_a_rotation_of_keys_all_goes_on(gateway: GatewayProcess, device: Device) -> None:
    phone = device()
    assert count(gateway, phone) == b"3"
    gateway.run("vault", "rotate")
    assert count(gateway, phone) == b"3"


def test_the_mailboxs_new_password_is_stored(gateway: GatewayProcess, mailbox: Mailbox, device: Device) -> None:
    phone = device()
    mailbox.server.add_user(mailbox.user, "changed")
    assert count(gateway, phone).startswith(b"-ERR [SYS/PERM]")  # the device's own password is right
    assert f"account upstream-password {mailbox.user}" in gateway.wait_for("login failed")["error"]
    gateway.run("account", "upstream-password", mailbox.user, said="changed\n")
    assert count(gateway, phone) == b"3"


def test_keys_that_do_not_fit_are_told_and_are_no_wrong_password(gateway: GatewayProcess, device: Device) -> None:
    phone = device()
    keys = gateway.config.parent / "state" / "vault.keys"  # the gateway has not read it yet
    keys.write_text("MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=\n")
    assert count(gateway, phone).startswith(b"-ERR [SYS/TEMP]")
    assert "another key" in gateway.wait_for("login failed here, not at the mail server")["error"]


def test_keys_that_do_not_fit_are_told_at_the_start(
    gateway: GatewayProcess, device: Device, start_gateway: StartGateway, mailbox: Mailbox
) -> None:
    """Before anybody logs in; and whoever passes through does not need them."""
    state = gateway.config.parent / "state"
    (state / "vault.keys").write_text("MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=\n")
    other = start_gateway(mailbox.server, state=str(state))
    told = other.wait_for("the accounts cannot be used: nobody who has one can log in")
    assert "another key" in told["error"]


MASTER = """
auth_master_user_separator = *
passdb {
  driver = static
  args = password=of-all
  master = yes
}
"""


@pytest.fixture(scope="module")
def mastered(certificates: Certificates) -> Iterator[Dovecot]:
    with Dovecot(certificates, extra=MASTER) as server:
        yield server


@pytest.mark.parametrize("separator", ["", "*"])
def test_a_master_user_logs_in_for_accounts_without_a_password(
    start_gateway: StartGateway, mastered: Dovecot, separator: str
) -> None:
    """An ISP that moves its customers knows none of their passwords there."""
    mailbox = new_mailbox(mastered)
    mailbox.deliver(MAIL)
    upstream = {
        "url": f"imaps://{mailbox.server.host}:{mailbox.server.imaps_port}",
        "ca_file": str(mailbox.server.ca_file),
        "master": {"user": "master", "password": "of-all", "separator": separator},
    }
    gateway = start_gateway(mailbox.server, upstream=upstream)
    told = gateway.account("add", mailbox.user, "--master")
    phone = replace(mailbox, password=told["password"])
    for _ in range(2):  # the second time on a warm connection
        assert count(gateway, phone) == b"3"
    assert count(gateway, replace(phone, password="wrong")).startswith(b"-ERR [AUTH]")
    assert "of-all" not in gateway.raw_log
