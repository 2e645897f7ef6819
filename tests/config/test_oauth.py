"""Registrations at providers that can be, and what is said of those that cannot."""

import re
import textwrap
from pathlib import Path

import pytest

from gateway.config import Settings, load
from gateway.errors import SettingsError
from gateway.oauth import PROVIDERS
from gateway.ports import Renewal
from tests.config.conftest import Fault, Loader
from tests.documents import PROVIDERS_PAGE

UP = "upstream: imaps://imap.example.com\n"


def oauth(loaded: Loader, *entries: str) -> Settings:
    return loaded(UP + "oauth:\n" + "".join(f"  {entry}\n" for entry in entries))


def test_a_known_provider_needs_a_client_id(loaded: Loader) -> None:
    client = oauth(loaded, "google: {client_id: abc, client_secret: hunter2}").client("google")
    assert client.provider == PROVIDERS["google"]
    assert client.client_id == "abc"
    assert client.secret is not None
    assert client.secret.reveal() == "hunter2"


def test_a_tenant_goes_into_the_endpoints(loaded: Loader) -> None:
    client = oauth(loaded, "microsoft365: {client_id: abc, tenant: contoso.com}").client("microsoft365")
    assert client.provider.token == "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
    usual = oauth(loaded, "microsoft365: {client_id: abc}").client("microsoft365")
    assert usual.provider.token == "https://login.microsoftonline.com/common/oauth2/v2.0/token"


def test_what_a_known_provider_leaves_open_is_said_here(loaded: Loader) -> None:
    written = "{client_id: abc, tenant: eu, scopes: mail.imap, upstream: imaps://imappro.zoho.eu}"
    provider = oauth(loaded, f"zoho: {written}").client("zoho").provider
    assert provider.token == "https://accounts.zoho.eu/oauth/v2/token"
    assert (provider.scopes, provider.upstream) == (("mail.imap",), "imaps://imappro.zoho.eu")


def test_another_provider_has_its_endpoints_here(loaded: Loader) -> None:
    written = (
        "{client_id: abc, token: https://id.example.org/token, device: http://127.0.0.1:8080/device, "
        "scopes: imap offline_access, mechanism: OAUTHBEARER, upstream: imaps://imap.example.org}"
    )
    provider = oauth(loaded, f"corp: {written}").client("corp").provider
    assert (provider.name, provider.token) == ("corp", "https://id.example.org/token")
    assert provider.device == "http://127.0.0.1:8080/device"
    assert provider.scopes == ("imap", "offline_access")
    assert (provider.mechanism, provider.upstream) == ("OAUTHBEARER", "imaps://imap.example.org")
    assert provider.renewals == frozenset(Renewal)


def test_another_provider_may_say_itself_where_its_endpoints_are(loaded: Loader) -> None:
    written = "{issuer: https://id.example.org/realms/mail, client_id: abc, scopes: [imap]}"
    client = oauth(loaded, f"corp: {written}").client("corp")
    assert (client.provider.issuer, client.provider.token) == ("https://id.example.org/realms/mail", "")
    assert client.provider.scopes == ("imap",)


def test_files_are_beside_the_settings(loaded: Loader, tmp_path: Path) -> None:
    settings = oauth(
        loaded,
        "microsoft365: {client_id: abc, certificate: app.pem, ca_file: ca.pem}",
        "google: {service_account: account.json}",
    )
    application = settings.client("microsoft365")
    assert (application.certificate, application.ca_file) == (tmp_path / "app.pem", tmp_path / "ca.pem")
    assert settings.client("google").service_account == tmp_path / "account.json"


def test_a_provider_without_a_registration_is_known_all_the_same(loaded: Loader) -> None:
    """An account may have one of its own."""
    assert set(loaded(UP).clients()) == set(PROVIDERS)
    assert (
        loaded(UP).clients()["microsoft365"].provider.token.startswith("https://login.microsoftonline.com/common/")
    )
    with pytest.raises(
        SettingsError, match=r"oauth\.google\.client_id is needed: register an application at https://"
    ):
        loaded(UP).client("google")
    with pytest.raises(SettingsError, match=r"oauth\.gogle: this provider is not known; did you mean google\?"):
        loaded(UP).client("gogle")


def test_each_key_comes_from_the_environment(loaded: Loader) -> None:
    settings = loaded(
        UP + "oauth: {google: {client_id: file}}\n",
        {
            "POP3_GATEWAY_OAUTH_GOOGLE_CLIENT_SECRET": "hunter2",
            "POP3_GATEWAY_OAUTH_MICROSOFT365_CN_CLIENT_ID": "abc",
            "POP3_GATEWAY_OAUTH_MICROSOFT365_CN_TENANT": "contoso.cn",
            "POP3_GATEWAY_OAUTH_CORP_ISSUER": "https://id.example.org",
            "POP3_GATEWAY_OAUTH_CORP_CLIENT_ID": "xyz",
            "POP3_GATEWAY_OAUTH_CORP_SCOPES": "imap offline_access",
        },
    )
    google = settings.client("google")
    assert (google.client_id, google.secret and google.secret.reveal()) == ("file", "hunter2")
    assert "/contoso.cn/" in settings.client("microsoft365-cn").provider.token
    assert settings.client("corp").provider.scopes == ("imap", "offline_access")


def test_all_of_them_come_from_the_environment_as_yaml() -> None:
    variables = {
        "POP3_GATEWAY_UPSTREAM": "imaps://h",
        "POP3_GATEWAY_OAUTH": "{google: {client_id: abc}, yandex: {client_id: xyz}}",
        "POP3_GATEWAY_OAUTH_YANDEX_CLIENT_ID": "the second wins",
    }
    settings = load(None, variables, {})
    assert settings.client("google").client_id == "abc"
    assert settings.client("yandex").client_id == "the second wins"


@pytest.mark.parametrize(
    "name", ["OAUTH_GOOGLE_CLIENTID", "OAUTH_CLIENT_ID", "OAUTH__CLIENT_ID", "OAUTH_GOOGLE_NAME"]
)
def test_a_variable_that_is_none_is_told(fault: Fault, name: str) -> None:
    said = fault(UP, {f"POP3_GATEWAY_{name}": "hunter2"})
    assert said.startswith(
        f"POP3_GATEWAY_{name}: no such setting; it is POP3_GATEWAY_OAUTH_, the provider's name, and one of _CLIENT"
    )
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            "gogle: {client_id: a}",
            "oauth.gogle: this provider is not known (did you mean google?); say its",
        ),
        (
            "corp: {client_id: a}",
            "oauth.corp: this provider is not known; say its issuer, or",
        ),
        ("Corp: {issuer: https://h}", "oauth.Corp: a provider's name has small letters, digits and hyphens"),
        (
            "google: {client_id: a, token: https://h/}",
            "oauth.google: token of Google is known; leave it out, or give",
        ),
        ("google: {client_id: a, scopes: x}", "oauth.google: scopes of Google is known"),
        ("zoho: {client_id: a}", "oauth.zoho: scopes are needed: Zoho documents none for IMAP; ask it"),
        ("zoho: {client_id: a, scopes: x, token: https://h/}", "oauth.zoho: token of Zoho is known"),
        ("google: {client_id: a, tenant: b}", "oauth.google: Google has no tenants"),
        ("microsoft365: {client_id: a, tenant: a/b}", "oauth.microsoft365.tenant: 'a/b' is no tenant; write its"),
        ("microsoft365: {service_account: a}", "oauth.microsoft365: Microsoft 365 has no service accounts"),
        ("corp: {issuer: https://h, tenant: b}", "oauth.corp: tenant is Microsoft's"),
        (
            "corp: {token: http://h/token}",
            "oauth.corp.token: 'http://h/token' cannot be: secrets go there",
        ),
        ("corp: {token: id.example.org}", "oauth.corp.token: 'id.example.org' cannot be"),
        ("corp: {issuer: ftp://localhost}", "oauth.corp.issuer: 'ftp://localhost' cannot be"),
        (
            "corp: {issuer: https://h, upstream: h}",
            "oauth.corp.upstream: 'h' is not a URL; write it like imaps://",
        ),
        (
            "corp: {issuer: https://h, mechanism: PLAIN}",
            "oauth.corp.mechanism: 'PLAIN' is not one of XOAUTH2, OAUTHB",
        ),
        ("google: {client_secret: hunter2}", "oauth.google: there is a client_secret without its client_id"),
        (
            "microsoft365: {client_id: a, client_secret: hunter2, certificate: c}",
            "oauth.microsoft365: client_secret and certificate are both there",
        ),
        ("google: {client_ids: a}", "oauth.google.client_ids: no such setting; did you mean client_id?"),
        ("google: {name: a}", "oauth: google.name: no such setting; its name stands before it"),
        ("google: abc", "oauth.google: 'abc' stands where a mapping is expected, with the keys client_id,"),
    ],
)
def test_a_registration_that_cannot_be_is_told_with_its_line(fault: Fault, entry: str, said: str) -> None:
    told = fault(f"{UP}oauth:\n  yandex: {{client_id: a}}\n  {entry}\n")
    line = 2 if said.startswith("oauth: ") else 4
    assert told.startswith(f"gateway.yaml:{line}: {said}")
    assert "hunter2" not in told


@pytest.mark.parametrize("written", ["google", "[google]", "1"])
def test_the_section_is_a_mapping(fault: Fault, written: str) -> None:
    said = "gateway.yaml:2: oauth: it is a mapping from a provider's name, as in microsoft365: {client_id: "
    assert fault(f"{UP}oauth: {written}\n").startswith(said)


def test_a_secret_does_not_print(loaded: Loader) -> None:
    settings = oauth(loaded, "google: {client_id: abc, client_secret: hunter2}")
    assert "hunter2" not in repr(settings) + str(settings) + repr(settings.client("google"))


EXAMPLES = re.findall(r"(?:^    .+\n)+", PROVIDERS_PAGE.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("example", [textwrap.dedent(found) for found in EXAMPLES])
def test_the_document_s_examples_can_be_used_as_they_are(loaded: Loader, example: str) -> None:
    settings = loaded(example)
    assert settings.oauth
    for name in settings.oauth:
        assert settings.client(name).client_id
