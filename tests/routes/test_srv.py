"""Where DNS says that a domain's mailboxes are, asked of a real name server."""

from collections import Counter
from collections.abc import Iterator

import pytest

from gateway.errors import BadCredentials, LookupFailed
from gateway.routes.srv import Target, ranked
from tests.routes.conftest import Guide, MakeGuide
from tests.servers.dnsmasq import Dnsmasq
from tests.servers.machine import free_ports

BY_DNS = {"match": "{user}@{domain}", "srv": "{domain}", "hosts": ["*.example.net"]}

RECORDS = (
    "local=/example/",
    "local-ttl=600",
    "srv-host=_imaps._tcp.both.example,secure.example.net,993,10,0",
    "srv-host=_imap._tcp.both.example,clear.example.net,143,10,0",
    "srv-host=_imaps._tcp.later.example,secure.example.net,993,20,0",
    "srv-host=_imap._tcp.later.example,clear.example.net,1143,10,0",
    "srv-host=_imaps._tcp.many.example,one.example.net,993,5,10",
    "srv-host=_imaps._tcp.many.example,two.example.net,993,5,30",
    "srv-host=_imaps._tcp.many.example,spare.example.net,993,6,100",
    "srv-host=_imaps._tcp.half.example,secure.example.net,993,1,1",
    "srv-host=_imaps._tcp.half.example,intranet.corp,993,2,1",
    "srv-host=_imaps._tcp.none.example",  # target "."
    "srv-host=_imaps._tcp.evil.example,intranet.corp,993,1,1",
    "srv-host=_imaps._tcp.address.example,127.0.0.1,993,1,1",
    "srv-host=_imaps._tcp.xn--bcher-kva.example,secure.example.net,993,1,1",
    "host-record=nothing.example,192.0.2.1",
)


@pytest.fixture(scope="module")
def dns() -> Iterator[Dnsmasq]:
    with Dnsmasq(*RECORDS) as running:
        yield running


@pytest.fixture
def asking(guide: MakeGuide, dns: Dnsmasq) -> Guide:
    return guide(BY_DNS, resolver=dns.server)


@pytest.mark.parametrize(
    ("name", "led"),
    [
        ("ann@both.example", "secure.example.net:993"),  # RFC 6186 section 3.4: TLS first, where both are equal
        ("ann@later.example", "clear.example.net:1143"),  # and the priority before that
        ("ann@BOTH.Example.", "secure.example.net:993"),
        ("ann@bücher.example", "secure.example.net:993"),
        ("ann@none.example", "usual:993"),
        ("ann@nothing.example", "usual:993"),
        ("ann@unknown.example", "usual:993"),
        ("ann@192.0.2.1", "usual:993"),
        ("ann@" + "a." * 122 + "example", "usual:993"),  # too long with the service before it
        ("ann", "usual:993"),
    ],
)
async def test_the_target_of_least_priority_is_taken(asking: Guide, name: str, led: str) -> None:
    assert await asking.leads(name) == f"{name} at {led}"


async def test_equal_targets_have_their_parts_by_weight_and_a_name_stays_where_it_is(asking: Guide) -> None:
    names = [f"user{number}@many.example" for number in range(400)]
    found = [str((await asking.find(name)).endpoint) for name in names]
    counts = Counter(found)
    assert set(counts) == {"one.example.net:993", "two.example.net:993"}
    assert 60 <= counts["one.example.net:993"] <= 140  # a quarter of them, by hashes that are always the same
    assert [str((await asking.find(name.upper())).endpoint) for name in names] == found


def test_a_target_that_goes_moves_no_name_but_its_own() -> None:
    weights = {"a": 0, "b": 1, "c": 5, "d": 9}
    targets = [Target("imaps", f"{letter}.example.net", 993, 1, weight) for letter, weight in weights.items()]
    names = [f"user{number}" for number in range(500)]
    before = {name: ranked(targets, name)[0] for name in names}
    after = {name: ranked(targets[:-1], name)[0] for name in names}
    moved = [name for name in names if before[name] != after[name]]
    assert moved == [name for name in names if before[name] == targets[-1]]
    assert Counter(before.values())[targets[0]] < 5  # weight 0: hardly any
    assert ranked(targets[:1], "ann") == targets[:1]


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("ann@both.example", ["clear.example.net:143"]),
        ("ann@later.example", ["secure.example.net:993"]),
        ("ann@half.example", []),  # the other one is not listed
        ("ann@nothing.example", []),
    ],
)
async def test_the_others_are_there_where_it_cannot_be_reached(
    asking: Guide, name: str, others: list[str]
) -> None:
    assert [str(other) for other in (await asking.find(name)).endpoint.others] == others


async def test_of_many_the_equal_ones_come_first(asking: Guide) -> None:
    found = [(await asking.find(f"user{number}@many.example")).endpoint for number in range(20)]
    equal = {"one.example.net:993", "two.example.net:993"}
    assert {frozenset(map(str, (endpoint, endpoint.others[0]))) for endpoint in found} == {frozenset(equal)}
    assert {str(endpoint.others[1]) for endpoint in found} == {"spare.example.net:993"}


@pytest.mark.parametrize("name", ["ann@evil.example", "ann@address.example"])
async def test_a_domain_cannot_send_us_to_hosts_that_are_not_listed(asking: Guide, name: str) -> None:
    with pytest.raises(BadCredentials, match=r"routes\[1\]\.hosts: (intranet\.corp|127\.0\.0\.1) is not one of"):
        await asking.find(name)


@pytest.mark.parametrize(("seconds", "asked"), [(600, 1), (0, 3)])
async def test_answers_are_kept_for_their_time(guide: MakeGuide, seconds: int, asked: int) -> None:
    record = "srv-host=_imaps._tcp.both.example,secure.example.net,993,10,0"
    with Dnsmasq("local=/example/", f"local-ttl={seconds}", record) as dns:
        routes = guide(BY_DNS, resolver=dns.server)
        for _ in range(3):
            await routes.find("ann@both.example")
        dns.wait_for_questions(asked)
        assert dns.questions.count("query[SRV] _imaps._tcp.both.example") == asked


async def test_a_name_server_that_refuses_ends_the_login(guide: MakeGuide) -> None:
    said = r"routes\[1\]\.srv: _imaps?\._tcp\.example\.org\. SRV: "
    with Dnsmasq() as dns, pytest.raises(LookupFailed, match=said):  # it has nobody to ask: REFUSED
        await guide(BY_DNS, resolver=dns.server).find("ann@example.org")


async def test_a_name_server_that_is_not_there_ends_the_login(
    guide: MakeGuide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.routes.srv.ANSWER_SECONDS", 0.5)
    [port] = free_ports("127.0.0.1", 1)
    with pytest.raises(LookupFailed, match="SRV"):
        await guide(BY_DNS, resolver=f"127.0.0.1:{port}").find("ann@example.org")
