"""Names that go to different servers, by real logins to two of them."""

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.auth_service import AuthService, answer, leads_to
from tests.servers.dnsmasq import Dnsmasq
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox, requires
from tests.servers.tls import Certificates

pytestmark = pytest.mark.pass_through
HERE, THERE, FOLDER = b"Subject: here\r\n\r\n", b"Subject: there\r\n\r\n", b"Subject: folder\r\n\r\n"


@pytest.fixture(scope="module")
def other(certificates: Certificates) -> Iterator[Dovecot]:
    requires("dovecot", "dovecot-imapd")
    with Dovecot(certificates) as running:
        yield running


@pytest.fixture
def here(dovecot: Dovecot) -> Mailbox:
    made = new_mailbox(dovecot)
    made.deliver([HERE])
    return made


@pytest.fixture
def there(other: Dovecot) -> Mailbox:
    """Its name has a domain: user1@example.org."""
    made = new_mailbox(other)
    made.deliver([THERE])
    return made


def at(server: Dovecot) -> str:
    return f"imaps://{server.host}:{server.imaps_port}?ca_file={server.ca_file}"


def opened(gateway: GatewayProcess, mailbox: Mailbox, name: str = "") -> bytes:
    """The first message; or why there is none."""
    with RawClient(gateway.port) as client:
        reply = client.log_in(Mailbox(mailbox.server, name or mailbox.user, mailbox.password))
        return client.message("RETR 1") if reply.startswith(b"+OK") else reply


def test_each_domain_has_its_server(
    start_gateway: StartGateway, dovecot: Dovecot, other: Dovecot, here: Mailbox, there: Mailbox
) -> None:
    gateway = start_gateway(
        dovecot, routes=[{"match": "{user}@there.example", "upstream": at(other), "user": "{user}@example.org"}]
    )
    local = there.user.partition("@")[0]
    assert opened(gateway, here) == HERE
    assert opened(gateway, there, f"{local}@There.Example") == THERE
    assert opened(gateway, there, f"{local}@elsewhere.example").startswith(b"-ERR [AUTH]")


def test_a_table_of_names(
    start_gateway: StartGateway, dovecot: Dovecot, other: Dovecot, here: Mailbox, there: Mailbox
) -> None:
    gateway = start_gateway(dovecot, routes=[{"table": {there.user.upper(): at(other)}}])
    assert opened(gateway, here) == HERE
    assert opened(gateway, there) == THERE
    assert opened(gateway, there) == THERE  # by the warm connection


def test_a_host_in_the_name(
    start_gateway: StartGateway, dovecot: Dovecot, other: Dovecot, here: Mailbox, there: Mailbox
) -> None:
    route = {
        "match": "{user}+{host}",
        "upstream": f"imaps://{{host}}:{other.imaps_port}?ca_file={other.ca_file}",
        "user": "{user}",
        "hosts": ["localhost"],
    }
    gateway = start_gateway(dovecot, routes=[route])
    assert opened(gateway, here) == HERE
    assert opened(gateway, there, f"{there.user}+localhost") == THERE
    refused = b"-ERR [AUTH] the name leads to a mail server that is not served here"
    assert opened(gateway, there, f"{there.user}+127.0.0.1") == refused
    told = gateway.wait_for("login failed")
    assert told["error"] == "routes[1].hosts: 127.0.0.1 is not one of localhost"


def test_a_domain_s_records(
    start_gateway: StartGateway, dovecot: Dovecot, other: Dovecot, here: Mailbox, there: Mailbox
) -> None:
    route = {
        "match": "{user}@{domain}",
        "srv": "{domain}",
        "upstream": f"{{scheme}}://{{host}}:{{port}}?ca_file={other.ca_file}",
        "hosts": "localhost",
        "user": "{user}@example.org",
    }
    local = there.user.partition("@")[0]
    record = f"srv-host=_imaps._tcp.there.example,localhost,{other.imaps_port},0,0"
    with Dnsmasq("local=/example/", "local=/org/", record) as dns:
        gateway = start_gateway(dovecot, routes=[route], resolver=dns.server)
        assert opened(gateway, there, f"{local}@there.example") == THERE
        assert opened(gateway, here) == HERE


def test_the_next_record_counts_where_the_first_server_is_down(
    start_gateway: StartGateway, dovecot: Dovecot, other: Dovecot, there: Mailbox
) -> None:
    """RFC 2782; the second time on a connection that was kept."""
    route = {
        "match": "{user}@{domain}",
        "srv": "{domain}",
        "upstream": f"{{scheme}}://{{host}}:{{port}}?ca_file={other.ca_file}",
        "hosts": "localhost",
        "user": "{user}@example.org",
    }
    name = f"{there.user.partition('@')[0]}@there.example"
    with closing(socket.socket()) as down:
        down.bind(("127.0.0.1", 0))
        ports = down.getsockname()[1], other.imaps_port
        records = (
            f"srv-host=_imaps._tcp.there.example,localhost,{port},{priority},0"
            for priority, port in enumerate(ports)
        )
        with Dnsmasq("local=/example/", *records) as dns:
            gateway = start_gateway(dovecot, routes=[route], resolver=dns.server)
            for _ in range(2):
                assert opened(gateway, there, name) == THERE
            wrong = Mailbox(other, there.user, "wrong")  # reached, and refused: no other is asked
            assert opened(gateway, wrong, name).startswith(b"-ERR [AUTH]")


def test_a_row_of_a_database(
    start_gateway: StartGateway, dovecot: Dovecot, other: Dovecot, here: Mailbox, there: Mailbox, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "customers", isolation_level=None)) as database:
        database.execute("CREATE TABLE customer (name TEXT, host TEXT, port INTEGER, login TEXT)")
        row = ("ann", "localhost", other.imaps_port, there.user)
        database.execute("INSERT INTO customer VALUES (?, ?, ?, ?)", row)
    route = {
        "sql": f"sqlite:{tmp_path}/customers",
        "query": "SELECT host, port, login AS user FROM customer WHERE name = {name}",
        "upstream": f"imaps://{{host}}:{{port}}?ca_file={other.ca_file}",
    }
    gateway = start_gateway(dovecot, routes=[route])
    assert opened(gateway, there, "ann") == THERE
    assert opened(gateway, here) == HERE


def test_what_fails_leads_nobody_elsewhere(start_gateway: StartGateway, dovecot: Dovecot, here: Mailbox) -> None:
    with AuthService() as service:
        gateway = start_gateway(dovecot, routes=[{"http": service.url}])
        service.reply = answer("Auth-Status: OK", status="503 Not now")
        refused = (
            b"-ERR [SYS/TEMP] service unavailable: where this mailbox is cannot be looked up now; try again later"
        )
        assert opened(gateway, here) == refused
        assert gateway.wait_for("login failed")["error"].startswith(f"routes[1].http: {service.url}: status 503")
        service.reply = answer("Auth-Status: Your account is closed")
        assert opened(gateway, here) == b"-ERR [AUTH] Your account is closed"
        assert here.password not in gateway.raw_log


def test_a_service_may_keep_the_password(
    start_gateway: StartGateway, dovecot: Dovecot, other: Dovecot, there: Mailbox
) -> None:
    with AuthService() as service:
        name = f"imap://localhost:{{port}}?ca_file={other.ca_file}"  # the certificate's, and not the address
        gateway = start_gateway(dovecot, routes=[{"http": service.url, "upstream": name}])
        login = (f"Auth-User: {there.user}", f"Auth-Pass: {there.password}")
        service.reply = leads_to("127.0.0.1", other.imap_port, *login)
        assert opened(gateway, Mailbox(other, "scanner", "1234")) == THERE
        assert (service.asked["auth-user"], service.asked["auth-pass"]) == (b"scanner", b"1234")


def test_a_service_s_password_that_is_wrong_is_no_guess_of_the_client_s(
    start_gateway: StartGateway, dovecot: Dovecot, here: Mailbox
) -> None:
    with AuthService() as service:
        gateway = start_gateway(dovecot, routes=[{"http": service.url, "upstream": at(dovecot)}])
        service.reply = leads_to("127.0.0.1", 993, "Auth-Pass: wrong")
        assert opened(gateway, here).startswith(b"-ERR [SYS/PERM] the mail server does not take the password")
        assert "routes[1] has given this password" in gateway.wait_for("login failed")["error"]


def test_the_name_and_the_folder_in_it(start_gateway: StartGateway, dovecot: Dovecot, here: Mailbox) -> None:
    here.deliver([FOLDER], "Ordner.Ä")
    gateway = start_gateway(dovecot, maildrop={"folder_separator": "/"})
    assert opened(gateway, here, f"{here.user}/Ordner.Ä") == FOLDER
    assert opened(gateway, here) == HERE
    assert opened(gateway, here, f"{here.user}/").startswith(b"-ERR [AUTH]")
    assert opened(gateway, here, f"{here.user}/Nowhere").startswith(b"-ERR [SYS/")


def test_folders_have_locks_of_their_own(start_gateway: StartGateway, dovecot: Dovecot, here: Mailbox) -> None:
    here.deliver([FOLDER], "Archive")
    gateway = start_gateway(dovecot, maildrop={"folder_separator": "/"})
    with RawClient(gateway.port) as one, RawClient(gateway.port) as two, RawClient(gateway.port) as three:
        assert one.log_in(here).startswith(b"+OK")
        archive = Mailbox(here.server, f"{here.user}/Archive", here.password)
        assert two.log_in(archive).startswith(b"+OK")
        assert three.log_in(archive).startswith(b"-ERR [IN-USE]")


def test_guesses_at_folders_are_guesses_at_the_account(
    start_gateway: StartGateway, dovecot: Dovecot, here: Mailbox
) -> None:
    limits: dict[str, Any] = {"guesses": {"per_account": 2}, "login_attempts": 100}
    gateway = start_gateway(dovecot, maildrop={"folder_separator": "/"}, limits=limits)
    with RawClient(gateway.port) as client:
        for number in range(2):
            wrong = Mailbox(here.server, f"{here.user}/folder{number}", f"wrong{number}")
            assert client.log_in(wrong).startswith(b"-ERR [AUTH]")
        assert client.log_in(here).startswith(b"-ERR [SYS/TEMP] service unavailable: too many failed logins")


def test_and_so_they_are_where_a_route_takes_the_folder_out(
    start_gateway: StartGateway, dovecot: Dovecot, here: Mailbox
) -> None:
    limits: dict[str, Any] = {"guesses": {"per_account": 2}, "login_attempts": 100}
    gateway = start_gateway(dovecot, routes=[{"match": "{folder}%{user}", "user": "{user}"}], limits=limits)
    with RawClient(gateway.port) as client:
        for number in range(2):
            wrong = Mailbox(here.server, f"folder{number}%{here.user}", f"wrong{number}")
            assert client.log_in(wrong).startswith(b"-ERR [AUTH]")
        assert client.log_in(here).startswith(b"-ERR [SYS/TEMP] service unavailable: too many failed logins")


def test_a_stored_account_may_be_for_one_folder(
    start_gateway: StartGateway, dovecot: Dovecot, here: Mailbox
) -> None:
    here.deliver([FOLDER], "Archive")
    gateway = start_gateway(dovecot, maildrop={"folder_separator": "/"}, accounts={"pass_through": False})
    free = gateway.account("add", "free", "--user", here.user, said=f"{here.password}\n")["password"]
    bound = gateway.account("password", "add", "free", "--folder", "INBOX", "--label", "bound")["password"]

    def opens(name: str, password: str) -> bytes:
        return opened(gateway, Mailbox(dovecot, name, password))

    assert opens("free", free) == HERE
    assert opens("free/Archive", free) == FOLDER
    assert opens("free/INBOX", bound) == HERE
    assert opens("free/Archive", bound) == b"-ERR [AUTH] this login does not open that folder"
    assert opens("free/Archive", "wrong") == b"-ERR [AUTH] the name or the password is wrong"


def test_check_says_which_route_a_name_takes(
    start_gateway: StartGateway, dovecot: Dovecot, other: Dovecot, here: Mailbox, there: Mailbox
) -> None:
    there.deliver([FOLDER], "Archive")
    gateway = start_gateway(
        dovecot, routes=[{"table": {there.user: at(other)}}], maildrop={"folder_separator": "/"}
    )
    told = gateway.run("check", "--user", f"{there.user}/Archive", said=f"{there.password}\n")
    assert f"route: routes[1] leads {there.user} to localhost:{other.imaps_port}, as {there.user}" in told
    assert "maildrop: Archive has 1 message" in told
    told = gateway.run("check", "--user", here.user, said=f"{here.password}\n")
    assert f"route: none is for {here.user}: it goes to upstream" in told


def test_who_has_no_routes_pays_for_none() -> None:
    """What looks names up is imported by the first route that needs it."""
    code = "import gateway.app.gateway, sys; print(sorted({'dns', 'httpx', 'psycopg'} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
