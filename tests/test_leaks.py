"""That a secret would be found."""

import base64
from pathlib import Path

import pytest

from tests import leaks

LEAKED = f"{leaks.PREFIX}17"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_it_is_found_in_clear_and_in_base64_wherever_it_stands(before: str) -> None:
    for behind in ("", "x", "xy"):
        octets = f"{before}{LEAKED}{behind}".encode()
        assert leaks.find(octets)
        assert leaks.find(b"\0" + base64.b64encode(octets) + b"\n")


def test_it_is_found_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_text(f"password={LEAKED}")
    (tmp_path / "other").write_text("nothing")
    assert list(leaks.find_in_folder(tmp_path)) == ["deep/file"]


def test_what_was_noted_is_looked_for() -> None:
    assert not leaks.find(b"abcd-efgh-jkmn-zzzz")
    leaks.note("abcd-efgh-jkmn-zzzz")
    assert leaks.find(b"abcd-efgh-jkmn-zzzz")
