"""Where names go: by their form, by table, and never where the settings do not say so."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.errors import BadCredentials, LookupFailed
from gateway.ports import TlsMode
from gateway.routes import routes as rooms
from gateway.routes.table import TableLookUp
from tests.routes.conftest import MakeGuide

BY_DOMAIN = {"match": "{user}@example.org", "upstream": "imaps://imap.example.org", "user": "{user}"}
DEMON = {
    "match": "{user}+{host}",
    "upstream": "imaps://{host}",
    "user": "{user}",
    "hosts": ["*.example.org", "192.0.2.1"],
}
TABLE = {"table": {"Ann": "imaps://a.example.com", "bob@example.org": "imap://b.example.com:1143"}}


async def test_without_routes_all_go_to_the_upstream_as_they_are(guide: MakeGuide) -> None:
    found = await guide().find("any\0name {at} all")
    assert (found.claim.user, found.endpoint.host, found.route) == ("any\0name {at} all", "usual", "")


async def test_the_first_that_knows_the_name_decides(guide: MakeGuide) -> None:
    routes = guide(TABLE, BY_DOMAIN, {"match": "{user}@{domain}", "upstream": "imaps://other"})
    assert await routes.leads("ann") == "ann at a.example.com:993"
    assert await routes.leads("ANN") == "ANN at a.example.com:993"
    assert await routes.leads("bob@EXAMPLE.org") == "bob@EXAMPLE.org at b.example.com:1143"
    assert await routes.leads("Eve@Example.ORG") == "Eve at imap.example.org:993"
    assert await routes.leads("eve@example.net") == "eve@example.net at other:993"
    assert await routes.leads("eve") == "eve at usual:993"
    assert (await routes.find("eve@example.net")).route == "routes[3]"


async def test_a_table_of_domains(guide: MakeGuide) -> None:
    table = {"example.org": "imaps://o", "bücher.example": "imaps://b"}
    routes = guide({"match": "{user}@{domain}", "table": table, "key": "{domain}"})
    assert await routes.leads("ann@Example.org") == "ann@Example.org at o:993"
    assert await routes.leads("ann@BÜCHER.example") == "ann@BÜCHER.example at b:993"
    assert await routes.leads("ann@example.net") == "ann@example.net at usual:993"


async def test_a_name_may_only_be_rewritten(guide: MakeGuide) -> None:
    routes = guide({"match": "{user}@example.org", "user": "{user}"}, {"match": "{user}", "user": "{user}@old"})
    assert await routes.leads("ann@example.org") == "ann at usual:993"
    assert await routes.leads("ann") == "ann@old at usual:993"


async def test_a_name_may_pick_a_folder(guide: MakeGuide) -> None:
    routes = guide(
        {"match": "{user}+{folder}@example.org", "user": "{user}@example.org"},
        {"match": "fax", "folder": "Faxes"},
    )
    assert (await routes.find("ann+Ordner/Ä@example.org")).folder == "Ordner/Ä"
    assert (await routes.find("fax")).folder == "Faxes"
    assert (await routes.find("ann")).folder == ""


@pytest.mark.parametrize(
    ("name", "led"),
    [
        ("ann+imap.example.org", "ann at imap.example.org:993"),
        ("ann+home+IMAP.example.org.", "ann+home at imap.example.org:993"),
        ("ann+192.0.2.1", "ann at 192.0.2.1:993"),
        ("ann", "ann at usual:993"),
        ("ann+", "ann+ at usual:993"),
        ("+imap.example.org", "+imap.example.org at usual:993"),
        ("ann+imap.example.org?tls=none", "ann+imap.example.org?tls=none at usual:993"),
        ("ann+imap.example.org:143", "ann+imap.example.org:143 at usual:993"),
        ("ann+{host}", "ann+{host} at usual:993"),
        ("ann+%s", "ann+%s at usual:993"),
        ("ann+127.1", "ann+127.1 at usual:993"),
        ("+" * 1000, "+" * 1000 + " at usual:993"),
    ],
)
async def test_a_host_in_the_name(guide: MakeGuide, name: str, led: str) -> None:
    assert await guide(DEMON).leads(name) == led


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "[::1]", "::1", "::ffff:192.0.2.1", "localhost", "example.org", "intranet", "192.0.2.2"),
        *("imap.example.org.evil.example", "evilexample.org", "\uff4cocalhost", "ex\u0430mple.org"),
    ],
)
async def test_a_host_that_is_not_listed_ends_the_login(guide: MakeGuide, host: str) -> None:
    with pytest.raises(BadCredentials) as refused:
        await guide(DEMON).find(f"ann+{host}")
    assert str(refused.value).startswith("routes[1].hosts: ")
    assert "is not one of *.example.org, 192.0.2.1" in str(refused.value)
    assert refused.value.reply == "the name leads to a mail server that is not served here"


async def test_what_a_client_says_can_be_no_more_than_a_host(guide: MakeGuide) -> None:
    routes = guide({"match": "{user}@x", "upstream": "imaps://{user}.example.org", "hosts": "*.example.org"})
    assert await routes.leads("ann@x") == "ann@x at ann.example.org:993"
    for user in ("a/b", "a?tls=none&x=", "a:1@evil.example", "evil.example#", "evil.example/"):
        with pytest.raises(BadCredentials, match=r"routes\[1\]\.upstream: .* is no host"):
            await routes.find(f"{user}@x")


@pytest.mark.parametrize("name", ["ann\r\nx", "ann\0", "\x7f"])
async def test_a_name_with_controls_is_nobodys_where_there_are_routes(guide: MakeGuide, name: str) -> None:
    with pytest.raises(BadCredentials, match="control characters"):
        await guide(TABLE).find(name)


async def test_an_upstream_of_its_own_has_its_own_terms(guide: MakeGuide, tmp_path: Path) -> None:
    url = f"imap://{{host}}?ca_file={tmp_path}/ca.pem"
    found = await guide(DEMON | {"upstream": url}).find("ann+imap.example.org")
    assert (found.endpoint.tls, found.endpoint.ca_file) == (TlsMode.STARTTLS, tmp_path / "ca.pem")


async def test_a_token_goes_the_same_way(guide: MakeGuide) -> None:
    found = await guide(BY_DOMAIN).find_for_token("ann@example.org")
    assert (found.claim.user, str(found.endpoint)) == ("ann", "imap.example.org:993")


async def test_look_ups_that_take_too_long_end_the_login(
    guide: MakeGuide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "LOOK_UP_SECONDS", 0.1)

    async def never(*_: object) -> None:
        await asyncio.sleep(60)

    ask: Callable[..., Awaitable[None]] = never
    monkeypatch.setattr(TableLookUp, "ask", ask)
    with pytest.raises(LookupFailed, match=r"routes\[2\]: no answer in"):
        await guide(BY_DOMAIN, TABLE).find("eve")
