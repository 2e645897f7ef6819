"""Counting an address's connections in several processes."""

import pytest

from gateway.server.census import Census, OwnCensus, SharedCensus


@pytest.mark.parametrize("census", [OwnCensus(), SharedCensus(1).page(1)], ids=["own", "shared"])
def test_each_site_is_counted_for_itself(census: Census) -> None:
    census.add("192.0.2.1")
    census.add("192.0.2.1")
    census.add("2001:db8::/64")
    assert (census.of("192.0.2.1"), census.of("2001:db8::/64"), census.of("192.0.2.2")) == (2, 1, 0)
    census.remove("192.0.2.1")
    assert census.of("192.0.2.1") == 1


def test_a_site_is_counted_in_all_workers() -> None:
    shared = SharedCensus(3)
    for worker in (1, 2, 3, 3):
        shared.page(worker).add("192.0.2.1")
    assert {shared.page(worker).of("192.0.2.1") for worker in (1, 2, 3)} == {4}


def test_the_connections_of_a_dead_worker_are_forgotten_and_no_others() -> None:
    shared = SharedCensus(3)
    for worker in (1, 2, 3, 3):
        shared.page(worker).add("192.0.2.1")
    shared.wipe(3)
    assert shared.page(1).of("192.0.2.1") == 2
    shared.page(3).add("192.0.2.1")
    assert shared.page(1).of("192.0.2.1") == 3


def test_thousands_of_other_sites_are_seldom_counted_with_it_and_never_against_it() -> None:
    shared = SharedCensus(2)
    sites = [f"10.0.{number // 256}.{number % 256}" for number in range(2000)]
    for number, site in enumerate(sites):
        shared.page(number % 2 + 1).add(site)
    counts = [shared.total(site) for site in sites]
    assert min(counts) == 1
    assert sum(count > 1 for count in counts) < 20  # two are expected
    for number, site in enumerate(sites):
        shared.page(number % 2 + 1).remove(site)
    assert {shared.total(site) for site in sites} == {0}
