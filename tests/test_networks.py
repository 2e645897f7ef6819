"""What counts as one place."""

from ipaddress import ip_network

import pytest

from gateway.networks import is_within, network_of, site_of


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("no address", "no address"),
    ],
)
def test_a_place_is_an_ipv4_address_or_an_ipv6_customer(address: str, site: str) -> None:
    assert site_of(address) == site


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.200", True),
        ("::ffff:192.0.2.200", True),
        ("192.0.3.1", False),
        ("2001:db8::9", True),
        ("2001:db9::9", False),
        ("no address", False),
    ],
)
def test_an_address_is_looked_for_in_networks_of_both_families(address: str, inside: bool) -> None:
    assert is_within(address, [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]) is inside


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_a_network_of_ipv4_may_be_written_in_ipv6_s_form(written: str, meant: str) -> None:
    assert network_of(written) == ip_network(meant)
