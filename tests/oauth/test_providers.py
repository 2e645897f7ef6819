"""The table of providers: each row can be used as it is."""

import subprocess
import sys
from dataclasses import replace

import pytest

from gateway.config.routes import endpoint_of
from gateway.oauth import PROVIDERS, Client, Provider, begin
from gateway.oauth.discovery import is_safe
from gateway.oauth.provider import TENANT
from gateway.ports import Registration, Renewal
from gateway.sasl import Secret

ROWS = [pytest.param(row.at_tenant(""), id=name) for name, row in PROVIDERS.items()]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_what_a_sign_in_needs(row: Provider) -> None:
    for endpoint in (row.authorization, row.token):
        assert is_safe(endpoint)
        assert endpoint.startswith("https://")
        assert TENANT not in endpoint
    for endpoint in filter(None, (row.device, row.revocation, row.issuer)):
        assert is_safe(endpoint)
        assert TENANT not in endpoint
    assert row.scopes or "scope" in row.remark
    assert Renewal.REFRESH in row.renewals


@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_who_says_so(row: Provider) -> None:
    assert row.sources
    for page in filter(None, (row.registered_at, *row.sources)):
        assert page.startswith("https://")


@pytest.mark.parametrize("row", ROWS)
def test_a_row_s_server_is_one(row: Provider) -> None:
    assert not row.upstream or endpoint_of(row.upstream).port == 993


@pytest.mark.parametrize("row", ROWS)
def test_a_row_asks_where_it_says(row: Provider) -> None:
    assert begin(Client(row, "abc"), "http://127.0.0.1/", "ann@example.org").url.startswith(
        f"{row.authorization}?"
    )


def test_no_two_rows_have_a_domain_or_an_exchanger_in_common() -> None:
    for known in ("domains", "exchangers"):
        all_of_them = [its for row in PROVIDERS.values() for its in getattr(row, known)]
        assert len(all_of_them) == len(set(all_of_them))


@pytest.mark.parametrize("row", [row for row in PROVIDERS.values() if Renewal.CLIENT in row.renewals])
def test_client_credentials_are_for_a_resource_as_a_whole(row: Provider) -> None:
    assert all(scope.endswith("/.default") for scope in row.application_scopes)
    assert row.application_scopes


def test_a_registration_of_an_account_s_own_takes_the_place_of_the_settings() -> None:
    client = Client(PROVIDERS["google"], "abc", Secret("hunter2"))
    assert client.registered(Registration()) == client
    own = client.registered(Registration("xyz"))
    assert own == replace(client, client_id="xyz", secret=None)


def test_who_only_reads_the_settings_does_not_load_what_speaks_with_providers() -> None:
    heavy = {"authlib", "cryptography", "dns", "httpcore", "httpx", "joserfc"}
    code = f"import sys, gateway.config, gateway.oauth; print(*({heavy!r} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
