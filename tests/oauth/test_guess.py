"""Which provider has a domain's mail."""

from collections.abc import Iterator

import pytest

from gateway.config.values import name_server
from gateway.errors import LookupFailed
from gateway.oauth import guess
from tests.servers.dnsmasq import Dnsmasq
from tests.servers.machine import free_ports

RECORDS = {
    "contoso.example": ["0 contoso-example.mail.protection.outlook.com"],
    "secure.example": ["0 secure-example.x-v1.mx.microsoft"],
    "gcc.example": ["0 gcc-example.mail.protection.office365.us"],
    "vianet.example": ["0 vianet-example.mail.protection.partner.outlook.cn"],
    "workspace.example": ["1 aspmx.l.google.com", "5 alt1.aspmx.l.google.com", "10 aspmx2.googlemail.com"],
    "new-workspace.example": ["1 smtp.google.com"],
    "small.example": ["10 mx-biz.mail.am0.yahoodns.net"],
    "old-aol.example": ["10 MX-AOL.mail.gm0.yahoodns.net"],
    "fast.example": ["10 in1-smtp.messagingengine.com", "20 in2-smtp.messagingengine.com"],
    "domain360.example": ["10 mx.yandex.net"],
    "own.example": ["10 mail.own.example"],
    "filtered.example": ["10 filter.example.net", "20 aspmx.l.google.com"],
    "two.example": ["20 aspmx.l.google.com", "10 mx.yandex.net"],
    "trick.example": ["10 evilmx.yandex.net", "10 mx.yandex.net.evil.example"],
    "xn--mller-kva.example": ["10 mx.yandex.net"],
}


@pytest.fixture(scope="module")
def names() -> Iterator[Dnsmasq]:
    lines = []
    for domain, exchangers in RECORDS.items():
        for exchanger in exchangers:
            preference, host = exchanger.split()
            lines.append(f"mx-host={domain},{host},{preference}")
    with Dnsmasq(*lines, "address=/example/", "local=/example/") as running:
        yield running


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("contoso.example", "microsoft365"),
        ("secure.example", "microsoft365"),
        ("gcc.example", "microsoft365-us"),
        ("vianet.example", "microsoft365-cn"),
        ("workspace.example", "google"),
        ("new-workspace.example", "google"),
        ("small.example", "yahoo"),
        ("old-aol.example", "aol"),
        ("fast.example", "fastmail"),
        ("domain360.example", "yandex"),
        ("own.example", None),
        ("nowhere.example", None),
        ("filtered.example", "google"),  # a filter before it
        ("two.example", "yandex"),  # the most preferred
        ("trick.example", None),
        ("Workspace.EXAMPLE.", "google"),
        ("ann@workspace.example", "google"),
        ("müller.example", "yandex"),
    ],
)
def test_a_domain_is_known_by_where_its_mail_goes(names: Dnsmasq, domain: str, name: str | None) -> None:
    found = guess(domain, name_server(names.server))
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("domain", "name"),
    [("gmail.com", "google"), ("ANN@Outlook.com", "microsoft365"), ("aol.com", "aol"), ("bk.ru", "mailru")],
)
def test_a_provider_s_own_domain_is_known_without_asking(names: Dnsmasq, domain: str, name: str) -> None:
    before = len(names.questions)
    found = guess(domain, name_server(names.server))
    assert found is not None
    assert (found.name, len(names.questions)) == (name, before)


@pytest.mark.parametrize("domain", ["", "ann@", "192.0.2.1", "a b", ".", "x" * 300])
def test_what_is_no_domain_is_nobody_s(names: Dnsmasq, domain: str) -> None:
    before = len(names.questions)
    assert guess(domain, name_server(names.server)) is None
    assert len(names.questions) == before


def test_a_name_server_that_is_away_is_told() -> None:
    [port] = free_ports("127.0.0.1", 1)
    with pytest.raises(LookupFailed, match=r"own\.example MX: "):
        guess("own.example", ("127.0.0.1", port))
