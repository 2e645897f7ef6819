"""What Microsoft and Google are to the gateway: mailboxes on Dovecot; tokens of an authorization server open them.

Their owners sign in there as people do; then there is an account in a gateway's vault, with an app password.
"""

import base64
import contextlib
import imaplib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.accounts import made
from gateway.app.state import KEY_FILE
from gateway.oauth import Client, Provider, begin, redeem
from gateway.ports import Grant, Renewal
from gateway.sasl import Secret
from gateway.store import Keys, StoredVault, open_state
from tests import leaks
from tests.gateway_process import GatewayProcess
from tests.servers.authorization import SCOPE, AuthorizationServer
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates

NAME = "corp"  # in the settings
REDIRECT = "http://127.0.0.1:8000/answer"
MECHANISMS = "plain login xoauth2 oauthbearer"
WHOSE = "username_attribute = sub\nactive_attribute = active\nactive_value = true\n"
# Node.js closes a connection that was not used for five seconds, perhaps just as Dovecot uses it again.
INTROSPECTION = "introspection_mode = post\nintrospection_url = {url}\nmax_idle_time_msecs = 1000\n"  # RFC 7662
JUDGES = {
    "introspection": INTROSPECTION + WHOSE,
    "jwt": "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={{folder}}/keys/\n" + WHOSE,
}


class MailProvider:
    """`judge`: how Dovecot looks at tokens."""

    def __init__(self, authorization: AuthorizationServer, imap: Dovecot, judge: str) -> None:
        self.authorization = authorization
        self.imap = imap
        self._jwt = judge == "jwt"
        self.behave()
        self.application = authorization.register(REDIRECT)
        leaks.note(self.application.client_secret)

    def behave(self, **changes: Any) -> None:
        """As AuthorizationServer.behave()."""
        self.authorization.behave(jwt=self._jwt, **changes)

    @property
    def renewals(self) -> int:
        """Requests to the token endpoint for another access token."""
        return sum(asked.grant_type == "refresh_token" for asked in self.authorization.asked)

    def settings(self, mechanism: str = "XOAUTH2", **more: Any) -> dict[str, Any]:
        """Of a gateway."""
        application = {
            "client_id": self.application.client_id,
            "client_secret": self.application.client_secret,
            "issuer": self.authorization.issuer,
            "scopes": [SCOPE],
            "mechanism": mechanism,
        }
        return {"oauth": {NAME: application}, "accounts": {"pass_through": False}} | more

    def new_mailbox(self, *messages: bytes) -> Mailbox:
        mailbox = new_mailbox(self.imap)
        mailbox.deliver(messages)
        return mailbox

    def sign_in(self, user: str) -> Grant:
        """Its owner does, with a browser."""
        client = self._client()
        begun = begin(client, REDIRECT, user)
        with self.authorization.browser() as browser:
            tokens = redeem(client, begun, browser.sign_in(begun.url, user))
        now = time.time()
        return noted(
            Grant(NAME, Renewal.REFRESH, now, refresh=tokens.refresh, access=tokens.access, expires=tokens.expires)
        )

    def revoke_token(self, grant: Grant) -> None:
        """The access token alone: it is worth nothing any more, and nobody has told us."""
        assert grant.access is not None
        self.authorization.revoke_token(grant.access.reveal(), self.application)

    def takes(self, mailbox: Mailbox, grant: Grant) -> bool:
        """Whether the mail server takes this token now."""
        assert grant.access is not None
        said = f"user={mailbox.user}\1auth=Bearer {grant.access.reveal()}\1\1"
        answers = iter([said.encode(), b""])
        client = imaplib.IMAP4(self.imap.host, self.imap.imap_port)
        try:
            return client.authenticate("XOAUTH2", lambda _: next(answers))[0] == "OK"
        except client.error:
            return False
        finally:
            client.shutdown()

    def _client(self) -> Client:
        known = self.authorization
        provider = Provider(
            NAME,
            NAME,
            "",
            known.authorization_endpoint,
            known.token_endpoint,
            issuer=known.issuer,
            scopes=(SCOPE,),
        )
        return Client(provider, self.application.client_id, Secret(self.application.client_secret))


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An account in a gateway's vault. `device` is the mailbox as a device knows it: with an app password."""

    device: Mailbox
    vault: StoredVault

    @property
    def grant(self) -> Grant:
        found = self.vault.grant(self.device.user)
        assert found is not None
        return noted(found)

    def change(self, **values: Any) -> None:
        """The grant, as if that had come of it."""
        assert self.vault.revise_grant(self.device.user, replace(self.grant, **values))

    def expire(self) -> None:
        """By our clock; the provider thinks otherwise."""
        self.change(expires=time.time() - 1)

    def sign_in_anew(self, grant: Grant) -> None:
        self.vault.set_grant(self.device.user, grant)


def noted(grant: Grant) -> Grant:
    for secret in (grant.access, grant.refresh):
        if secret is not None:
            leaks.note(secret.reveal())
    return grant


@contextlib.contextmanager
def vault_of(
    gateway: GatewayProcess, url: str | None = None, key_file: Path | None = None
) -> Iterator[StoredVault]:
    """Beside it."""
    with contextlib.closing(open_state(gateway.state, url)) as state:
        file = key_file or state.folder.path / KEY_FILE
        vault = state.vault(lambda may_be_new: Keys.of(None, file, may_be_new=may_be_new))
        yield vault
        for account in vault.all():  # the last tokens are looked for, too, in what it leaves behind
            if account.grant:
                noted(account.grant)


def enrol(vault: StoredVault, mailbox: Mailbox, grant: Grant) -> Enrolled:
    account = made.new_account(mailbox.user, Secret(""), time.time())
    kept, password = made.new_password(account, made.Terms("printer"), time.time(), readable=False)
    leaks.note(password.reveal())
    vault.add(replace(account, passwords=(kept,), grant=grant))
    return Enrolled(replace(mailbox, password=password.reveal()), vault)


@pytest.fixture(scope="session")
def shared_token_dovecots(
    shared_authorization: AuthorizationServer, certificates: Certificates
) -> Iterator[dict[str, Dovecot]]:
    """By how they judge tokens."""
    known = shared_authorization.register(REDIRECT, token_endpoint_auth_method="client_secret_basic")
    secret = f"{known.client_id}:{known.client_secret}@"
    url = shared_authorization.introspection_endpoint.replace("http://", f"http://{secret}")
    with contextlib.ExitStack() as running:
        servers = {
            judge: running.enter_context(
                Dovecot(certificates, auth_mechanisms=MECHANISMS, oauth2=oauth2.format(url=url))
            )
            for judge, oauth2 in JUDGES.items()
        }
        for key in shared_authorization.signing_keys:
            servers["jwt"].trust(key["kid"], pem(key))
        yield servers


@pytest.fixture
def mail_provider(authorization: AuthorizationServer, shared_token_dovecots: dict[str, Dovecot]) -> MailProvider:
    return MailProvider(authorization, shared_token_dovecots["introspection"], "introspection")


@pytest.fixture(params=JUDGES)
def each_mail_provider(
    request: pytest.FixtureRequest, authorization: AuthorizationServer, shared_token_dovecots: dict[str, Dovecot]
) -> MailProvider:
    """One that asks about each token, and one that believes a signature."""
    return MailProvider(authorization, shared_token_dovecots[request.param], request.param)


def pem(key: dict[str, Any]) -> bytes:
    """Of a JWK (RFC 7518 section 6.3.1)."""
    exponent, modulus = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "=="), "big") for name in "en")
    public = RSAPublicNumbers(exponent, modulus).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
