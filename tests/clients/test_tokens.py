"""OAuth tokens, which the gateway hands on: with real clients, to a Dovecot that takes them."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clients.client import Failed, Site
from tests.clients.curl import Curl
from tests.clients.mpop import Mpop
from tests.fakes.imap import FakeImap
from tests.fakes.imap_store import Settings
from tests.gateway_process import GatewayProcess, StartGateway
from tests.server.pop3_client import RawClient
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates

pytestmark = pytest.mark.pass_through  # a stored account takes its own passwords

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"
TOKENS = ["XOAUTH2", "OAUTHBEARER"]


@pytest.fixture(scope="module")
def server(certificates: Certificates) -> Iterator[Dovecot]:
    """Its token is the password, as without an oauth2 passdb it has it."""
    with Dovecot(certificates, auth_mechanisms="plain login xoauth2 oauthbearer") as running:
        yield running


@pytest.fixture
def mailbox(server: Dovecot) -> Mailbox:
    made = new_mailbox(server)
    made.deliver([MESSAGE])
    return made


@pytest.fixture
def gateway(start_gateway: StartGateway, server: Dovecot) -> GatewayProcess:
    running = start_gateway(server)
    running.wait_for("upstream offers")
    return running


@pytest.fixture
def site(gateway: GatewayProcess, certificates: Certificates) -> Site:
    return Site(gateway.port, gateway.tls_port, certificates.ca_file)


def offered(gateway: GatewayProcess) -> list[bytes]:
    with RawClient(gateway.port) as client:
        assert client.ask("CAPA").startswith(b"+OK")
        [sasl] = [line for line in client.body() if line.startswith(b"SASL ")]
    return sasl.split()[1:]


def test_they_are_offered_where_the_upstream_takes_them(
    gateway: GatewayProcess, start_gateway: StartGateway, dovecot: Dovecot
) -> None:
    assert set(TOKENS) <= {name.decode() for name in offered(gateway)}
    other = start_gateway(dovecot)
    other.wait_for("upstream offers")
    assert offered(other) == [b"PLAIN", b"LOGIN"]


def test_curl(site: Site, mailbox: Mailbox, home: Path) -> None:
    client = Curl(home)
    for _ in range(2):  # the second time on a warm connection
        assert client.ask(site, mailbox, "1", f'oauth2-bearer = "{mailbox.password}"') == MESSAGE
    assert "> AUTH OAUTHBEARER" in client.said


@pytest.mark.parametrize("mechanism", TOKENS)
def test_mpop(mechanism: str, site: Site, mailbox: Mailbox, home: Path) -> None:
    messages, said = Mpop(home).fetch(site, mailbox, auth=mechanism.lower())
    assert messages == [MESSAGE]
    assert f"AUTH {mechanism}" in said


@pytest.mark.parametrize("mechanism", TOKENS)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_token_of_ten_kilobytes_arrives(
    mechanism: str, at_once: bool, start_gateway: StartGateway, certificates: Certificates
) -> None:
    """In one line with AUTH, or in the next. Dovecot takes none of more than six."""
    token = "t" * 10_000
    said = {
        "XOAUTH2": f"user=ann\1auth=Bearer {token}\1\1",
        "OAUTHBEARER": f"n,a=ann,\1auth=Bearer {token}\1\1",
    }
    response = base64.b64encode(said[mechanism].encode()).decode()
    with FakeImap(certificates, settings=Settings(max_line=16_384)) as fake:
        fake.add_user("ann", token)
        gateway = start_gateway(fake)
        gateway.wait_for("upstream offers")
        with RawClient(gateway.port) as client:
            if at_once:
                assert client.ask(f"AUTH {mechanism} {response}").startswith(b"+OK")
            else:
                assert client.ask(f"AUTH {mechanism}") == b"+ "
                assert client.ask(response).startswith(b"+OK")


def test_a_token_that_is_not_taken_is_a_wrong_password(
    gateway: GatewayProcess, site: Site, mailbox: Mailbox, home: Path
) -> None:
    with pytest.raises(Failed, match=r"-ERR \[AUTH\]"):
        Curl(home).ask(site, mailbox, "1", 'oauth2-bearer = "expired-token"')
    assert "expired-token" not in gateway.raw_log


@pytest.mark.parametrize("mechanism", TOKENS)
def test_mpop_reads_that_a_token_is_not_taken(mechanism: str, site: Site, mailbox: Mailbox, home: Path) -> None:
    with pytest.raises(Failed, match="authentication failed"):
        Mpop(home).fetch(site, replace(mailbox, password="expired"), auth=mechanism.lower())


@pytest.mark.parametrize(
    ("mechanism", "response", "why"),
    [
        ("OAUTHBEARER", "n,a={user},\1auth=Bearer expired\1\1", {"status": "invalid_token"}),
        ("XOAUTH2", "user={user}\1auth=Bearer expired\1\1", {"status": "401", "schemes": "bearer"}),
    ],
)
@pytest.mark.parametrize("excuse", ["AQ==", "", "*"])
def test_why_a_token_is_not_taken_is_told_in_a_challenge(
    mechanism: str, response: str, why: dict[str, str], excuse: str, gateway: GatewayProcess, mailbox: Mailbox
) -> None:
    """RFC 7628 sections 3.2.2 and 3.2.3; and as Google has it, whose clients answer with an empty line."""
    said = base64.b64encode(response.format(user=mailbox.user).encode()).decode()
    with RawClient(gateway.port) as client:
        challenge = client.ask(f"AUTH {mechanism} {said}")
        assert json.loads(base64.b64decode(challenge.removeprefix(b"+ "))) == why
        assert client.ask(excuse) == b"-ERR [AUTH] the mail server does not take this token"
        assert client.ask(f"USER {mailbox.user}").startswith(b"+OK")
        assert client.ask(f"PASS {mailbox.password}").startswith(b"+OK")
