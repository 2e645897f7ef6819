"""A provider that is known by its issuer, and one that speaks HTTPS."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ProviderError, RegistrationRefused, SignInNeeded
from gateway.oauth import Client, Provider, Renewals, begin, redeem
from gateway.oauth.discovery import is_safe, located
from gateway.ports import Renewal
from gateway.sasl import Secret
from tests.oauth.conftest import REDIRECT, client_of, grant
from tests.oauth.liar import Liar, answer
from tests.servers import tls
from tests.servers.authorization import SCOPE, AuthorizationServer

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as running:
        running.reply = answer(b"", "404 Not Found")
        yield running


def by_issuer(issuer: str, **other: Any) -> Client:
    return Client(Provider("corp", "Corp", "", issuer=issuer, scopes=(SCOPE,)), **other)


def test_an_issuer_says_where_its_endpoints_are(authorization: AuthorizationServer) -> None:
    known = located(by_issuer(authorization.issuer))
    assert known.authorization == authorization.authorization_endpoint
    assert known.token == authorization.token_endpoint
    assert known.device == authorization.device_endpoint
    assert known.revocation == authorization.revocation_endpoint
    assert not known.basic


def test_an_owner_signs_in_at_a_provider_that_is_known_by_its_issuer(authorization: AuthorizationServer) -> None:
    registered = authorization.register(REDIRECT)
    client = by_issuer(
        authorization.issuer, client_id=registered.client_id, secret=Secret(registered.client_secret)
    )
    begun = begin(client, REDIRECT)
    with authorization.browser() as browser:
        back = browser.sign_in(begun.url, "ann")
    tokens = redeem(client, begun, back)
    assert (
        Renewals({"corp": client}).renew(grant(refresh=tokens.refresh), "ann", Secret("")).access != tokens.access
    )


def test_it_is_asked_once_and_then_remembered(liar: Liar) -> None:
    liar.replies[OPENID] = answer({"issuer": liar.url, "token_endpoint": f"{liar.url}/token"})
    assert located(by_issuer(liar.url)) == located(by_issuer(liar.url))
    assert liar.paths == [OPENID]


def test_one_that_fails_is_asked_again(liar: Liar) -> None:
    liar.replies[OPENID] = answer(b"", "503 Busy")
    with pytest.raises(ProviderError, match="status 503"):
        located(by_issuer(liar.url))
    liar.replies[OPENID] = answer({"issuer": liar.url, "token_endpoint": f"{liar.url}/token"})
    assert located(by_issuer(liar.url)).token == f"{liar.url}/token"


def test_one_without_openid_has_its_metadata_elsewhere(liar: Liar) -> None:
    """RFC 8414 section 3.1: before the issuer's path."""
    issuer = f"{liar.url}/realms/mail"
    liar.replies[f"{OAUTH}/realms/mail"] = answer({"issuer": issuer, "token_endpoint": f"{liar.url}/token"})
    assert located(by_issuer(issuer)).token == f"{liar.url}/token"
    assert liar.paths == [f"/realms/mail{OPENID}", f"{OAUTH}/realms/mail"]


@pytest.mark.parametrize(
    ("methods", "basic"),
    [
        (["client_secret_basic"], True),
        (["client_secret_basic", "client_secret_post"], False),
        (["none"], False),
        (None, False),
        ("client_secret_basic", False),
    ],
)
def test_the_secret_goes_where_the_provider_wants_it(liar: Liar, methods: Any, basic: bool) -> None:
    metadata = {"issuer": liar.url, "token_endpoint": f"{liar.url}/token"}
    liar.replies[OPENID] = answer(metadata | {"token_endpoint_auth_methods_supported": methods})
    client = by_issuer(liar.url, client_id="our-id", secret=Secret("hunter2"))
    liar.replies["/token"] = answer({"access_token": "abc"})
    Renewals({"corp": client}).renew(grant(refresh=Secret("r")), "ann", Secret(""))
    assert ("client_secret" not in liar.forms[-1]) == basic


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (
            {"issuer": "https://evil.example", "token_endpoint": "https://evil.example/"},
            "its metadata is of another",
        ),
        ({"token_endpoint": "https://evil.example/"}, "its metadata is of another issuer"),
        ({"issuer": "{issuer}"}, "its metadata has no token endpoint"),
        ({"issuer": "{issuer}", "token_endpoint": "http://evil.example/"}, "its token endpoint is not https://"),
        ({"issuer": "{issuer}", "token_endpoint": 1}, "its token endpoint is not https://"),
        ([], "and no metadata"),
        (b"<html>", "and no metadata"),
        (b"", "and no metadata"),
    ],
)
def test_metadata_that_cannot_be(liar: Liar, metadata: Any, said: str) -> None:
    if isinstance(metadata, dict):
        metadata = {key: liar.url if value == "{issuer}" else value for key, value in metadata.items()}
    liar.replies[OPENID] = answer(metadata)
    with pytest.raises(ProviderError, match=rf"oauth\.corp\.issuer: .*{said}"):
        begin(by_issuer(liar.url), REDIRECT)


def test_no_metadata_at_all(liar: Liar) -> None:
    with pytest.raises(ProviderError, match=f"no metadata at {liar.url}{OPENID} or {liar.url}{OAUTH}"):
        begin(by_issuer(liar.url), REDIRECT)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://login.example.org/token", True),
        ("https://login.example.org:8443", True),
        ("http://127.0.0.1:8080/token", True),
        ("http://localhost/token", True),
        ("http://[::1]/token", True),
        ("http://login.example.org/token", False),
        ("http://127.0.0.1.example.org/", False),
        ("http://localhost@example.org/", False),
        ("https://user:password@example.org/", False),
        ("https://example.org/#here", False),
        ("https://example.org/a b", False),
        ("https://m\u00fcller.example/", False),
        ("https://xn--mller-kva.example/", True),
        ("https://example.org/a\n", False),
        ("https://example.org:0/", False),
        ("https://example.org:x/", False),
        ("https://", False),
        ("https://[", False),
        ("ftp://localhost/", False),
        ("login.example.org", False),
        ("", False),
    ],
)
def test_secrets_go_over_https_or_stay_on_this_machine(url: str, safe: bool) -> None:
    assert is_safe(url) is safe


# HTTPS


def test_a_private_authority_is_trusted_where_the_settings_say_so(
    authorization_over_tls: AuthorizationServer,
) -> None:
    client = client_of(authorization_over_tls, authorization_over_tls.register())
    renewals = Renewals(
        {"corp": client, "found": replace(client, provider=by_issuer(authorization_over_tls.issuer).provider)}
    )
    assert renewals.renew(grant(Renewal.CLIENT), "", Secret("")).expires
    assert renewals.renew(replace(grant(Renewal.CLIENT), provider="found"), "", Secret("")).expires


@pytest.mark.parametrize("trusted", ["the system's", "another's"])
def test_a_server_that_nobody_vouches_for_is_told_nothing(
    authorization_over_tls: AuthorizationServer, tmp_path: Path, trusted: str
) -> None:
    ca_file = tls.make(tmp_path).ca_file if trusted == "another's" else None
    registered = authorization_over_tls.register()
    client = replace(client_of(authorization_over_tls, registered), ca_file=ca_file)
    authorization_over_tls.forget()
    with pytest.raises(ProviderError, match=r"is it of a private authority\? Set ca_file beside client_id"):
        Renewals({"corp": client}).renew(grant(Renewal.CLIENT), "", Secret(""))
    assert authorization_over_tls.asked == []


@pytest.mark.parametrize(
    ("octets", "said"), [(None, "No such file"), (b"nonsense", "it holds no certificates in PEM")]
)
def test_authorities_that_cannot_be_read(
    authorization_over_tls: AuthorizationServer, tmp_path: Path, octets: bytes | None, said: str
) -> None:
    file = tmp_path / "ca.pem"
    if octets is not None:
        file.write_bytes(octets)
    client = replace(client_of(authorization_over_tls, authorization_over_tls.register()), ca_file=file)
    with pytest.raises(RegistrationRefused, match=f"ca_file: .*: {said}"):
        Renewals({"corp": client}).renew(grant(Renewal.CLIENT), "", Secret(""))


def test_an_answer_of_another_issuer_is_not_redeemed(authorization: AuthorizationServer) -> None:
    """RFC 9207, where the endpoints were looked up."""
    client = by_issuer(authorization.issuer, client_id=authorization.register(REDIRECT).client_id)
    begun = begin(client, REDIRECT)
    with pytest.raises(SignInNeeded, match="another provider's"):
        redeem(client, begun, f"code=x&state={begun.state}&iss=https%3A%2F%2Fevil.example")
