"""Which way of signing in is chosen, and which cannot be."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli.sign_in import Flow, demand, possible, usual
from gateway.errors import SettingsError
from gateway.oauth import Client, Provider
from gateway.ports import Renewal
from gateway.sasl import Secret

BROWSER = Provider("b", "Browser Mail", "", authorization="https://b/a", token="https://b/t")
DEVICE = replace(BROWSER, title="Device Mail", device="https://b/d")
ALL = replace(DEVICE, title="All Mail", renewals=frozenset(Renewal))
DISCOVERED = Provider("d", "Discovered Mail", "", issuer="https://d")


@pytest.mark.parametrize(
    ("provider", "has_browser", "flow"),
    [
        (BROWSER, True, Flow.CODE),
        (BROWSER, False, Flow.CODE),
        (DEVICE, True, Flow.CODE),
        (DEVICE, False, Flow.DEVICE),
        (DISCOVERED, False, Flow.DEVICE),
        (ALL, True, Flow.CODE),
    ],
)
def test_a_browser_is_taken_where_there_is_one_and_a_telephone_where_not(
    provider: Provider, has_browser: bool, flow: Flow
) -> None:
    assert usual(Client(provider), has_browser=has_browser) is flow


def test_a_service_account_asks_nobody() -> None:
    client = Client(ALL, service_account=Path("key.json"))
    assert usual(client, has_browser=True) is Flow.ASSERTION
    assert usual(replace(client, provider=DEVICE), has_browser=True) is Flow.CODE


@pytest.mark.parametrize(
    ("client", "flow", "why"),
    [
        (Client(BROWSER), Flow.DEVICE, "Browser Mail has no device; --flow may be code"),
        (Client(DEVICE), Flow.CLIENT, "has no client-credentials; --flow may be code, device"),
        (Client(ALL), Flow.CLIENT, r"set oauth\.b\.client_secret or oauth\.b\.certificate"),
        (Client(ALL), Flow.ASSERTION, r"set oauth\.b\.service_account"),
        (Client(ALL), Flow.CODE, r"set oauth\.b\.client_id"),
    ],
)
def test_what_cannot_be_is_told_with_what_can(client: Client, flow: Flow, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        demand(client, flow)


def test_what_can_be_is_let_pass() -> None:
    client = Client(ALL, "me", secret=Secret("s"), service_account=Path("key.json"))
    for flow in Flow:
        demand(client, flow)
    assert possible(client) == list(Flow)
    assert possible(Client(ALL, "me", certificate=Path("c.pem"))) == [
        Flow.CODE,
        Flow.DEVICE,
        Flow.CLIENT,
        Flow.PASSWORD,
    ]
    assert possible(Client(ALL, service_account=Path("key.json"))) == [Flow.ASSERTION]
