"""The next access token of a grant, by each way that there is."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.errors import ProviderError, RegistrationRefused, SignInNeeded
from gateway.oauth import Client, Renewals, SignIn, assertions, redeem, transport
from gateway.ports import Grant, Registration, Renewal, Tokens
from gateway.sasl import Secret
from tests.oauth.conftest import client_of, grant
from tests.oauth.keys import certificate, key_file, registered_key, service_account
from tests.servers.authorization import SCOPE, AuthorizationServer, Registered

Signing = Callable[..., tuple[SignIn, str]]
NONE = Secret("")
USER = "ann@example.org"


@pytest.fixture
def granted(client: Client, signed_in: Signing) -> Grant:
    """The owner has signed in once."""
    return grant(refresh=redeem(client, *signed_in(USER)).refresh)


def renew(client: Client, given: Grant, secret: Secret = NONE) -> Tokens:
    return Renewals({"corp": client}).renew(given, USER, secret)


def whose(server: AuthorizationServer, tokens: Tokens, registered: Registered) -> str:
    said = server.introspect(tokens.access.reveal(), registered)
    assert said["active"]
    return str(said.get("sub", ""))


# Refresh


def test_a_grant_gives_token_after_token(
    authorization: AuthorizationServer, registered: Registered, client: Client, granted: Grant
) -> None:
    first, second = renew(client, granted), renew(client, granted)
    assert first.access != second.access
    assert whose(authorization, second, registered) == USER
    assert first.refresh is None  # the last one stays
    assert [asked.grant_type for asked in authorization.asked[1:]] == ["refresh_token"] * 2


def test_a_rotated_refresh_token_takes_the_place_of_the_last(
    authorization: AuthorizationServer, client: Client, granted: Grant
) -> None:
    authorization.behave(rotate=True)
    first = renew(client, granted)
    assert first.refresh is not None
    second = renew(client, replace(granted, refresh=first.refresh))
    assert second.refresh not in (None, first.refresh)
    with pytest.raises(SignInNeeded, match="invalid_grant"):  # stolen, as far as the provider can tell
        renew(client, granted)


def test_a_revoked_grant_wants_its_owner(
    authorization: AuthorizationServer, client: Client, granted: Grant
) -> None:
    authorization.revoke(USER)
    with pytest.raises(SignInNeeded, match="the grant is at its end: invalid_grant") as caught:
        renew(client, granted)
    assert caught.value.code == "AUTH"


def test_we_revoke_a_grant(authorization: AuthorizationServer, client: Client, granted: Grant) -> None:
    Renewals({"corp": client}).revoke(granted)
    with pytest.raises(SignInNeeded, match="invalid_grant"):
        renew(client, granted)


def test_a_grant_without_a_refresh_token_wants_its_owner(client: Client) -> None:
    with pytest.raises(SignInNeeded, match="there is no refresh token"):
        renew(client, grant())


def test_expiry_is_by_our_clock(authorization: AuthorizationServer, client: Client, granted: Grant) -> None:
    authorization.behave(access_seconds=7)
    before = time.time()
    assert before + 7 <= renew(client, granted).expires <= time.time() + 7


def test_what_the_provider_takes_to_answer_is_not_added_to_the_lifetime(
    authorization: AuthorizationServer, client: Client, granted: Grant
) -> None:
    authorization.behave(access_seconds=100, delay=1)
    before = time.time()
    renewed = renew(client, granted)
    assert renewed.expires - before - 100 < time.time() - before - 0.9


def test_an_account_may_have_a_registration_of_its_own(
    authorization: AuthorizationServer, registered: Registered, client: Client, granted: Grant
) -> None:
    own = Registration(registered.client_id, Secret(registered.client_secret))
    stranger = replace(client, client_id="somebody", secret=None)
    assert renew(stranger, replace(granted, registration=own)).access.reveal()


# What only the operator can mend


def test_a_wrong_secret_is_the_operator_s_and_costs_no_grant(client: Client, granted: Grant) -> None:
    wrong = replace(client, secret=Secret("no-such-secret"))
    with pytest.raises(RegistrationRefused, match="invalid_client") as caught:
        renew(wrong, granted)
    assert caught.value.code == "SYS/PERM"
    assert "no-such-secret" not in str(caught.value)
    assert renew(client, granted).access.reveal()


def test_a_provider_that_has_gone_from_the_settings(client: Client, granted: Grant) -> None:
    with pytest.raises(RegistrationRefused, match=r"the settings have no oauth\.corp any more"):
        Renewals({}).renew(granted, USER, NONE)
    with pytest.raises(RegistrationRefused, match=r"oauth\.corp\.client_id is needed"):
        renew(replace(client, client_id=""), granted)


# Client credentials


def test_an_application_opens_all_mailboxes(
    authorization: AuthorizationServer, registered: Registered, client: Client
) -> None:
    tokens = renew(client, grant(Renewal.CLIENT))
    assert authorization.introspect(tokens.access.reveal(), registered)["scope"] == SCOPE
    assert tokens.refresh is None


@pytest.mark.parametrize("kind", ["RSA", "P-256"])
def test_an_application_proves_itself_by_its_certificate(
    authorization: AuthorizationServer, tmp_path: Path, kind: str
) -> None:
    file = certificate(tmp_path, kind)
    client = Client(
        client_of(authorization, authorization.register()).provider,
        registered_key(authorization, file).client_id,
        certificate=file,
    )
    tokens = renew(client, grant(Renewal.CLIENT))
    assert tokens.access.reveal()
    # Microsoft asks for it, too, where RFC 7521 does not.
    assert authorization.asked[-1].client_id == client.client_id


def test_another_s_certificate_does_not_prove_it(authorization: AuthorizationServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours = registered_key(authorization, certificate(tmp_path, "RSA"))
    client = Client(
        client_of(authorization, ours).provider,
        ours.client_id,
        certificate=certificate(tmp_path / "other", "RSA"),
    )
    with pytest.raises(RegistrationRefused, match="invalid_client"):
        renew(client, grant(Renewal.CLIENT))


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (None, "No such file or directory"),
        (b"-----BEGIN NONSENSE-----", "it holds no certificate in PEM"),
        ("certificate", "it holds no private key"),
    ],
)
def test_a_certificate_that_cannot_be_used(
    authorization: AuthorizationServer, client: Client, tmp_path: Path, octets: bytes | str | None, said: str
) -> None:
    file = tmp_path / "gateway.pem"
    if octets is not None:
        whole = certificate(tmp_path, "RSA").read_bytes()
        lone = whole[: whole.index(b"-----BEGIN PRIVATE")]
        key_file(tmp_path, "gateway.pem", octets if isinstance(octets, bytes) else lone)
    with pytest.raises(RegistrationRefused, match=said):
        renew(replace(client, secret=None, certificate=file), grant(Renewal.CLIENT))
    assert authorization.asked == []


def test_a_tenant_of_everybody_has_no_mailboxes(client: Client) -> None:
    shared = replace(client, provider=replace(client.provider, tenant="common"))
    with pytest.raises(RegistrationRefused, match=r"oauth\.corp\.tenant is needed"):
        renew(shared, grant(Renewal.CLIENT))


@pytest.mark.parametrize("seconds", [-300, 50])
def test_a_clock_that_is_wrong_by_a_little_proves_us_all_the_same(
    authorization: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """What is signed says from when and until when; the provider looks at its own clock."""
    authorization.add_user(USER, "whatever")
    file = certificate(tmp_path)
    provider = client_of(authorization, authorization.register()).provider
    application = Client(provider, registered_key(authorization, file).client_id, certificate=file)
    account = Client(provider, service_account=service_account(authorization, tmp_path))
    monkeypatch.setattr(assertions, "time", SimpleNamespace(time=lambda: time.time() + seconds))
    assert renew(application, grant(Renewal.CLIENT)).access.reveal()
    assert renew(account, grant(Renewal.ASSERTION)).access.reveal()


# Service accounts


@pytest.fixture
def account(authorization: AuthorizationServer, tmp_path: Path) -> Client:
    """Its domain is that of one user."""
    authorization.add_user(USER, "whatever")
    file = service_account(authorization, tmp_path)
    return Client(client_of(authorization, authorization.register()).provider, service_account=file)


def test_a_service_account_opens_the_mailboxes_of_its_domain(
    authorization: AuthorizationServer, registered: Registered, account: Client
) -> None:
    assert whose(authorization, renew(account, grant(Renewal.ASSERTION)), registered) == USER


def test_a_user_that_the_domain_has_not_is_the_operator_s_to_mend(account: Client) -> None:
    with pytest.raises(RegistrationRefused, match="there is no such user"):
        Renewals({"corp": account}).renew(grant(Renewal.ASSERTION), "nobody@example.org", NONE)


@pytest.mark.parametrize("octets", [b"", b"[]", b"{}", b'{"client_email": "x", "private_key": 1}', b"\xff"])
def test_a_file_that_is_no_service_account(account: Client, tmp_path: Path, octets: bytes) -> None:
    file = key_file(tmp_path, "none.json", octets)
    with pytest.raises(RegistrationRefused, match="it is no key of a service account"):
        renew(replace(account, service_account=file), grant(Renewal.ASSERTION))


def test_a_service_account_without_its_file(account: Client, tmp_path: Path) -> None:
    with pytest.raises(RegistrationRefused, match="No such file or directory"):
        renew(replace(account, service_account=tmp_path / "none"), grant(Renewal.ASSERTION))
    with pytest.raises(RegistrationRefused, match=r"oauth\.corp\.service_account is needed"):
        renew(replace(account, service_account=None), grant(Renewal.ASSERTION))


# Passwords


@pytest.mark.parametrize("password", ["correct horse", "päß+&=%wörd", " "])
def test_the_owner_s_password_is_good_where_a_provider_still_takes_it(
    authorization: AuthorizationServer, registered: Registered, client: Client, password: str
) -> None:
    authorization.add_user(USER, password)
    assert whose(authorization, renew(client, grant(Renewal.PASSWORD), Secret(password)), registered) == USER


def test_a_wrong_password_wants_its_owner(authorization: AuthorizationServer, client: Client) -> None:
    authorization.add_user(USER, "right")
    with pytest.raises(SignInNeeded, match="invalid_grant") as caught:
        renew(client, grant(Renewal.PASSWORD), Secret("very-wrong-password"))
    assert "very-wrong-password" not in str(caught.value)


# A provider that is not well


def test_a_provider_that_is_down_costs_nothing(
    authorization: AuthorizationServer, client: Client, granted: Grant
) -> None:
    authorization.down()
    with pytest.raises(ProviderError, match=r"refreshing the access token: .*Connection refused") as caught:
        renew(client, granted)
    assert caught.value.code == "SYS/TEMP"
    authorization.up()
    assert renew(client, granted).access.reveal()


def test_a_provider_that_is_slow_costs_nothing(
    authorization: AuthorizationServer, client: Client, granted: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorization.behave(delay=60)
    with monkeypatch.context() as impatient:
        impatient.setattr(transport, "SILENCE_SECONDS", 0.3)
        with pytest.raises(ProviderError, match="no answer in time") as caught:
            renew(client, granted)
    assert caught.value.code == "SYS/TEMP"
    authorization.behave()
    assert renew(client, granted).access.reveal()


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_provider_that_has_too_much_to_do_costs_nothing(
    authorization: AuthorizationServer, client: Client, granted: Grant, status: int
) -> None:
    authorization.behave(status=status, body='{"error": "invalid_grant"}')
    with pytest.raises(ProviderError, match=f"status {status}") as caught:
        renew(client, granted)
    assert caught.value.code == "SYS/TEMP"
    authorization.behave()
    assert renew(client, granted).access.reveal()
