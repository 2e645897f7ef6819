"""Names taken apart, URLs put together, and hosts that nobody shall be led to."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.naming import Hosts, Pattern, Query, Template, Unfit, Values, address, host_name, is_plain

HOST = "{user}+{host}"
DOMAIN = "{user}@{domain}"


def apart(pattern: str, name: str) -> Values | None:
    """Without the name itself."""
    found = Pattern.of(pattern).take_apart(name)
    return None if found is None else {key: value for key, value in found.items() if key != "name"}


@pytest.mark.parametrize(
    ("pattern", "name", "values"),
    [
        ("{name}", "any name at all", {}),
        ("{user}", "ann", {"user": "ann"}),
        (DOMAIN, "ann@example.org", {"user": "ann", "domain": "example.org"}),
        (DOMAIN, "ann@home@example.org", {"user": "ann@home", "domain": "example.org"}),
        (DOMAIN, "ann@EXAMPLE.org.", {"user": "ann", "domain": "EXAMPLE.org."}),
        (DOMAIN, "ann@bücher.example", {"user": "ann", "domain": "bücher.example"}),
        ("{user}@example.org", "Ann@Example.ORG", {"user": "Ann"}),
        ("{user}@example.org", "ann@example.org@example.org", {"user": "ann@example.org"}),
        (HOST, "ann+imap.example.org", {"user": "ann", "host": "imap.example.org"}),
        (HOST, "ann+list+imap.example.org", {"user": "ann+list", "host": "imap.example.org"}),
        (HOST, "ann+127.0.0.1", {"user": "ann", "host": "127.0.0.1"}),
        (HOST, "ann+[::1]", {"user": "ann", "host": "[::1]"}),
        ("{host}:{user}", "imap.example.org:ann", {"host": "imap.example.org", "user": "ann"}),
        ("{user}+{folder}@{domain}", "ann+a@b.example", {"user": "ann", "folder": "a", "domain": "b.example"}),
        ("{user}@İstanbul.example", "ann@İstanbul.example", {"user": "ann"}),
        ("postmaster", "PostMaster", {}),
    ],
)
def test_a_name_of_the_form_is_taken_apart(pattern: str, name: str, values: Values) -> None:
    assert apart(pattern, name) == values


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (DOMAIN, "ann"),
        (DOMAIN, "ann@"),
        (DOMAIN, "@example.org"),
        (DOMAIN, "@"),
        (DOMAIN, "ann@two words"),
        (DOMAIN, "ann@example.org/../x"),
        (DOMAIN, "ann@example.org?tls=none"),
        (DOMAIN, "ann@127.1"),
        (DOMAIN, "ann@0x7f.1"),
        (DOMAIN, "ann@2130706433"),
        (DOMAIN, "ann@{host}"),
        (DOMAIN, "ann@" + "a" * 64 + ".example"),
        (DOMAIN, "ann@" + "a." * 130 + "example"),
        (DOMAIN, "ann@a..b"),
        (HOST, "ann+[::1"),
        (HOST, "ann+user@example.org"),
        ("{user}@example.org", "@example.org"),
        ("{user}@example.org", "ann@example.org.evil.example"),
        ("postmaster", "postmaster2"),
        ("aa{user}aa", "aaa"),
    ],
)
def test_a_name_of_another_form_is_not(pattern: str, name: str) -> None:
    assert apart(pattern, name) is None


def test_a_long_name_takes_no_time() -> None:
    began = time.process_time()
    for text in ("@" * 200_000, "a+" * 100_000, "+" * 100_000 + "@" * 100_000):
        apart("{user}+{host}@{domain}", text)
    assert time.process_time() - began < 5  # backtracking would take hours


@given(st.text(), st.text(min_size=1))
def test_what_was_taken_apart_can_be_put_together(user: str, folder: str) -> None:
    name = f"{user}/{folder}"
    values = Pattern.of("{user}/{folder}").take_apart(name)
    assert values is None or Template.of("{user}/{folder}").fill(values) == name


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{users}@x", "{users} cannot be taken out of a name; there is {user}, {domain}, {host}, {folder}"),
        ("{name}@x", "{name} cannot be taken out of a name"),
        ("{user}{host}", "something has to stand between two placeholders"),
        ("{user}@{user}", "{user} is there twice"),
        ("{user", "braces stand around a placeholder only"),
        ("{}@x", "braces stand around a placeholder only"),
        ("{user.__class__}@x", "braces stand around a placeholder only"),
    ],
)
def test_a_pattern_that_cannot_be_meant(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Pattern.of(pattern)


def test_a_template_takes_values_as_they_are() -> None:
    assert Template.of("{user}-{user}").fill({"user": "{domain}%s{0}"}) == "{domain}%s{0}-{domain}%s{0}"
    with pytest.raises(Unfit, match="there is no host"):
        Template.of("{host}").fill({"user": "ann"})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("imap.example.org", "imaps://imap.example.org"),
        ("IMAP.Example.org.", "imaps://imap.example.org"),
        ("bücher.example", "imaps://xn--bcher-kva.example"),
        ("192.0.2.1", "imaps://192.0.2.1"),
        ("2001:DB8::1", "imaps://[2001:db8::1]"),
        ("[::1]", "imaps://[::1]"),
    ],
)
def test_a_host_in_a_url(host: str, url: str) -> None:
    assert Template.of("imaps://{host}").fill_url({"host": host}) == url


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "a/b", "a?tls=none", "a#", "a:143", "a@b", "imaps://a", "a b", "a\r\nb", "a\0", "-a", "127.1"),
        *("fe80::1%eth0", "[fe80::1%25eth0]", "a\\b", "a%2e", "1", "0x1", "a.0x1"),
    ],
)
def test_what_is_more_or_less_than_a_host_comes_into_no_url(host: str) -> None:
    with pytest.raises(Unfit, match="is no host"):
        Template.of("imaps://{host}").fill_url({"host": host})


@pytest.mark.parametrize(
    "values", [{"scheme": "http"}, {"port": "0"}, {"port": "65536"}, {"port": "٣"}, {"port": "-1"}]
)
def test_other_schemes_and_ports_come_into_no_url_either(values: Values) -> None:
    with pytest.raises(Unfit):
        Template.of("{scheme}://h:{port}").fill_url({"scheme": "imap", "port": "143"} | values)


@given(st.text())
def test_any_text_is_one_host_or_none(text: str) -> None:
    try:
        url = Template.of("imaps://{host}").fill_url({"host": text})
    except Unfit:
        return
    assert re.fullmatch(r"imaps://([a-z0-9._-]+|\[[0-9a-f:.]+\])", url)


ALLOWED = Hosts.of(("imap.example.org", "*.example.net", "192.0.2.1", "2001:db8::1", "*.bücher.example"))


@pytest.mark.parametrize(
    "host",
    [
        *("imap.example.org", "IMAP.example.ORG.", "a.example.net", "a.b.example.net", "192.0.2.1"),
        *("2001:0db8:0::1", "[2001:db8::1]", "a.xn--bcher-kva.example"),
    ],
)
def test_hosts_that_are_listed(host: str) -> None:
    assert ALLOWED.allow(host)


@pytest.mark.parametrize(
    "host",
    [
        *("example.org", "imap.example.org.evil.example", "evilimap.example.org", "example.net", "aexample.net"),
        *("192.0.2.2", "127.0.0.1", "localhost", "::1", "::ffff:192.0.2.1", "192.0.2.1.", "", ".example.net", "*"),
    ],
)
def test_hosts_that_are_not(host: str) -> None:
    assert not ALLOWED.allow(host)


@pytest.mark.parametrize(
    "entry", ["*", "*.", "", "a b", "*.*.example.org", "10.0.0.0/8", "*.0.0.1", "imaps://h", "h:1"]
)
def test_a_list_that_names_no_host(entry: str) -> None:
    with pytest.raises(ValueError, match="is no host; write it like"):
        Hosts.of((entry,))


def test_a_query_has_parameters_and_its_own_signs() -> None:
    query = Query.of("SELECT '{}' || '%' FROM c WHERE n = {name} OR n = {user} OR m = {name}")
    assert query.statement() == "SELECT '{}' || '%' FROM c WHERE n = ? OR n = ? OR m = ?"
    assert query.names == ("name", "user", "name")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1 WHERE n = '{name}'", "{name} stands without quotes"),
        ("SELECT 1", "asks the same for every name"),
        ("SELECT 1 WHERE n = ?", "a question mark cannot stand here"),
    ],
)
def test_a_query_that_cannot_be_meant(query: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Query.of(query)


def test_addresses_and_names_are_told_apart() -> None:
    assert [host_name(text) for text in ("127.0.0.1", "::1", "a.1", "1.a")] == [None, None, None, "1.a"]
    assert address("127.1") is None


@pytest.mark.parametrize("name", ["a\r\nb", "a\0b", "a\x7f", "\t"])
def test_a_name_with_controls_is_nobodys(name: str) -> None:
    assert not is_plain(name)
    assert is_plain("Ann {%} ' \" @ é 名")
