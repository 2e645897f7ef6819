"""Real clients fetch mail from where no password is taken: with an app password, behind it a provider's token."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.client import Failed, Site
from tests.clients.curl import Curl
from tests.clients.fetchmail import Fetchmail
from tests.gateway_process import GatewayProcess, StartGateway
from tests.granted import Enrolled, MailProvider, enrol, vault_of
from tests.servers.fixtures import Mailbox
from tests.servers.tls import Certificates

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


@pytest.fixture
def mailbox(each_mail_provider: MailProvider) -> Mailbox:
    return each_mail_provider.new_mailbox(MESSAGE)


@pytest.fixture(params=["XOAUTH2", "OAUTHBEARER"])
def gateway(
    request: pytest.FixtureRequest, start_gateway: StartGateway, each_mail_provider: MailProvider
) -> GatewayProcess:
    return start_gateway(each_mail_provider.imap, **each_mail_provider.settings(request.param))


@pytest.fixture
def site(gateway: GatewayProcess, certificates: Certificates) -> Site:
    return Site(gateway.port, gateway.tls_port, certificates.ca_file)


@pytest.fixture
def ann(gateway: GatewayProcess, each_mail_provider: MailProvider, mailbox: Mailbox) -> Iterator[Enrolled]:
    with vault_of(gateway) as vault:
        yield enrol(vault, mailbox, each_mail_provider.sign_in(mailbox.user))


@pytest.mark.parametrize("kind", [Curl, Fetchmail])
def test_a_client_fetches_and_deletes(
    kind: type[Curl | Fetchmail], site: Site, ann: Enrolled, each_mail_provider: MailProvider, home: Path
) -> None:
    """The first time with the token of the sign-in, the second with one that takes its place."""
    client = kind(home)
    assert client.fetch_all(site, ann.device, tls="pop3s", delete=True) == [client.as_stored(MESSAGE)]
    assert ann.device.messages() == []
    ann.device.server.deliver(ann.device.user, [MESSAGE])
    ann.sign_in_anew(each_mail_provider.sign_in(ann.device.user))  # so no connection of before is warm for it
    ann.expire()
    assert client.fetch_all(site, ann.device, tls="stls", delete=True) == [client.as_stored(MESSAGE)]
    assert each_mail_provider.renewals == 1


def test_a_client_is_told_that_its_user_must_sign_in_again(
    site: Site, ann: Enrolled, each_mail_provider: MailProvider, home: Path
) -> None:
    each_mail_provider.authorization.revoke(ann.device.user)
    ann.change(expires=time.time() - 1)
    with pytest.raises(
        Failed, match=r"-ERR \[AUTH\] the mail provider wants the owner of this mailbox to sign in"
    ):
        Curl(home).fetch_all(site, ann.device, tls="pop3s", delete=False)
