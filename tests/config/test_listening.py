"""What a listener may have of its own."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.config import Listener, load
from gateway.errors import SettingsError


def listener(described: object) -> Listener:
    settings = load(None, {}, {("upstream",): "imaps://h", ("listen",): [described]})
    return settings.listen[0]


def test_all_of_it_may_stand_in_the_url() -> None:
    query = "min_version=TLSv1&client_ca_file=/ca.pem&proxy_from=10.0.0.0/8+192.0.2.1+2001:db8::/32"
    found = listener(f"pop3s://0.0.0.0:995?{query}")
    assert found.min_version == "TLSv1"
    assert found.client_ca_file == Path("/ca.pem")
    assert found.proxy_from == tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")))
    assert listener("pop3://h?proxy_from=10.0.0.0/8%2C192.0.2.1").proxy_from == found.proxy_from[:2]


@pytest.mark.parametrize("between", [" ", ",", ", ", " ,\n"])
@pytest.mark.parametrize("comma", ["+", ",", "%2C"])
def test_several_listeners_of_the_environment_may_each_have_proxies(between: str, comma: str) -> None:
    urls = f" pop3://h:1?proxy_from=10.0.0.0/8{comma}192.0.2.1{between}pop3://h:2,"
    found = load(None, {"POP3_GATEWAY_LISTEN": urls, "POP3_GATEWAY_UPSTREAM": "imaps://h"}, {}).listen
    assert [len(site.proxy_from) for site in found] == [2, 0]


@pytest.mark.parametrize("said", ["10.0.0.0/8", ["10.0.0.0/8"], "10.0.0.0/8,", " 10.0.0.0/8 "])
def test_one_network_or_many(said: object) -> None:
    assert listener({"url": "pop3://h", "proxy_from": said}).proxy_from == (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("10.0.0.1/8", "10.0.0.1/8 has host bits set; write it like"),
        ("proxy.example.com", "does not appear to be an IPv4 or IPv6 network; write it like"),
        ("", "does not appear to be an IPv4 or IPv6 network; write it like"),
        (10, "does not appear to be an IPv4 or IPv6 network; write it like"),
        (None, "does not appear to be an IPv4 or IPv6 network; write it like"),
        ([["10.0.0.0/8"]], "does not appear to be an IPv4 or IPv6 network; write it like"),
    ],
)
def test_what_is_no_network_is_told_and_never_taken_for_none(said: object, why: str) -> None:
    with pytest.raises(SettingsError, match="proxy_from") as refused:
        listener({"url": "pop3://h", "proxy_from": said})
    assert why in str(refused.value)


@pytest.mark.parametrize("version", ["SSLv3", "TLSv1.0", "tlsv1", "1.0"])
def test_other_versions_there_are_none(version: str) -> None:
    with pytest.raises(SettingsError, match=r"is not one of TLSv1, TLSv1\.1, TLSv1\.2, TLSv1\.3"):
        listener({"url": "pop3://h", "min_version": version})


def test_old_tls_is_for_one_listener_and_not_for_all() -> None:
    assert listener({"url": "pop3://h", "min_version": "TLSv1.1"}).allows_old_tls
    assert not listener({"url": "pop3://h", "min_version": "TLSv1.2"}).allows_old_tls
    assert not listener("pop3://h").allows_old_tls
    with pytest.raises(SettingsError, match=r"tls\.min_version"):
        load(None, {}, {("upstream",): "imaps://h", ("tls", "min_version"): "TLSv1.1"})
