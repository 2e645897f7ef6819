"""`workers: auto`."""

import os
from pathlib import Path

import pytest

from gateway.workers import usable_cpus


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def count(folder: Path, own: str = "/", **quotas: str) -> int:
    """`quotas` are what stands in cpu.max, by the name of the group's folder; `root` is the topmost."""
    for name, quota in quotas.items():
        group = folder / "cgroup" / ("" if name == "root" else name.replace("_", "/"))
        group.mkdir(parents=True, exist_ok=True)
        (group / "cpu.max").write_text(f"{quota}\n")
    (folder / "own").write_text(f"1:cpu:/elsewhere\n0::{own}\n")
    return usable_cpus(folder / "cgroup", folder / "own")


def test_one_for_each_cpu_that_the_process_may_run_on(tmp_path: Path) -> None:
    assert count(tmp_path) == 8


@pytest.mark.parametrize(
    ("quota", "workers"),
    [("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", 8), ("900000 100000", 8)],
)
def test_no_more_than_a_containers_quota_pays_for(tmp_path: Path, quota: str, workers: int) -> None:
    assert count(tmp_path, root=quota) == workers


def test_the_least_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    assert count(tmp_path, "/slice/unit", root="max 1", slice="3 1", slice_unit="5 1") == 3
    assert count(tmp_path, "/slice/unit", slice_unit="2 1") == 2


def test_a_stranger_groups_quota_does_not(tmp_path: Path) -> None:
    assert count(tmp_path, "/slice", slice="max 1", slice_unit="2 1") == 8


@pytest.mark.parametrize("nonsense", ["", "a b", "1", "1 0"])
def test_what_cannot_be_read_is_no_quota(tmp_path: Path, nonsense: str) -> None:
    assert count(tmp_path, root=nonsense) == 8


def test_without_control_groups_the_cpus_count(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path, tmp_path / "none") == 8


def test_never_more_than_sixteen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(128)))
    assert count(tmp_path) == 16
