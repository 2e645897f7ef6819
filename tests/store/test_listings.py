"""Listings between logins: what was kept is recalled, or nothing; never something else."""

import os
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import StateError
from gateway.maildrop import Listing
from gateway.maildrop.listing import BELIEVED_SECONDS
from gateway.store import FileListings
from gateway.store import listings as module

UINT32 = st.integers(1, 0xFFFFFFFF)


def a_listing(messages: int = 3, *, uidvalidity: int = 9, first: int = 1) -> Listing:
    uids = array("I", range(first, first + messages))
    return Listing(uidvalidity, first + messages, uids, array("Q", (100 + uid for uid in uids)))


@pytest.fixture
def listings(tmp_path: Path) -> FileListings:
    return FileListings(tmp_path / "listings")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_of_a_maildrop_that_was_never_seen_nothing_is_known(listings: FileListings) -> None:
    assert listings.recall("ann") is None


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        lambda uidvalidity, uidnext, sizes, modseq, looked, date, gone: Listing(
            uidvalidity,
            uidnext,
            array("I", sorted(sizes)),
            array("Q", (sizes[uid] for uid in sorted(sizes))),
            modseq,
            looked,
            date,
            tuple(gone),
        ),
        UINT32,
        st.integers(1, 2**32),
        st.dictionaries(UINT32, st.integers(0, 2**64 - 1), max_size=40),
        st.integers(0, 2**63),
        st.floats(0, 2e9),
        st.binary(max_size=39),
        st.lists(st.tuples(UINT32, UINT32), max_size=5),
    )
)
def test_what_was_kept_is_recalled(tmp_path_factory: pytest.TempPathFactory, listing: Listing) -> None:
    folder = tmp_path_factory.getbasetemp() / "recalled"
    FileListings(folder).keep("ann\0INBOX", listing)
    assert FileListings(folder).recall("ann\0INBOX") == listing


def test_a_date_that_is_too_long_to_be_one_is_left_out(listings: FileListings) -> None:
    listings.keep("ann", replace(a_listing(), date=b"x" * 40))
    assert listings.recall("ann") == a_listing()


def test_maildrops_are_apart_and_the_last_listing_counts(listings: FileListings) -> None:
    ann, bob, later = a_listing(), a_listing(5), a_listing(7)
    listings.keep("ann", ann)
    listings.keep("bob", bob)
    listings.keep("Ann", later)
    assert [listings.recall(key) for key in ("ann", "bob", "Ann")] == [ann, bob, later]
    listings.keep("ann", later)
    listings.forget("bob")
    assert [listings.recall(key) for key in ("ann", "bob", "Ann")] == [later, None, later]


def test_to_forget_what_is_not_known_is_no_error(listings: FileListings) -> None:
    listings.forget("ann")


def test_files_are_closed_to_others_and_do_not_tell_names(listings: FileListings, tmp_path: Path) -> None:
    listings.keep("ann@example.org", a_listing())
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert "ann" not in str(file.relative_to(tmp_path))
    assert b"ann" not in file.read_bytes()


def test_a_message_takes_twelve_octets(listings: FileListings, tmp_path: Path) -> None:
    listings.keep("ann", a_listing(100_000))
    (file,) = files(tmp_path)
    assert file.stat().st_size < 12 * 100_000 + 150


def test_many_maildrops_are_spread_over_folders(listings: FileListings, tmp_path: Path) -> None:
    for number in range(600):
        listings.keep(f"user{number}", a_listing())
    folders = [path for path in (tmp_path / "listings").iterdir() if path.is_dir()]
    assert len(folders) > 200
    assert max(len(list(folder.iterdir())) for folder in folders) < 20


# Damage


@pytest.fixture
def kept(listings: FileListings, tmp_path: Path) -> Path:
    """The file of ann's."""
    listings.keep("ann", a_listing(50))
    (file,) = files(tmp_path)
    return file


@pytest.mark.parametrize(
    "change",
    [
        lambda octets: b"",
        lambda octets: b"\0" * len(octets),
        lambda octets: octets[:-1],
        lambda octets: octets[: len(octets) // 2],
        lambda octets: octets + b"\0",
        lambda octets: octets + octets,
        lambda octets: b"X" + octets[1:],
        lambda octets: octets.replace(b"LISTIN1", b"LISTIN2"),
        lambda octets: octets[:7] + (b"b" if octets[7:8] == b"l" else b"l") + octets[8:],
        lambda octets: octets[:4096] + b"\0" * (len(octets) - 4096) if len(octets) > 4096 else octets[::-1],
    ],
)
def test_a_damaged_file_is_nothing_and_is_removed(
    listings: FileListings, kept: Path, change: Callable[[bytes], bytes]
) -> None:
    kept.write_bytes(change(kept.read_bytes()))
    assert listings.recall("ann") is None
    assert not kept.exists()
    listings.keep("ann", a_listing())
    assert listings.recall("ann") == a_listing()


def test_no_octet_can_change_unnoticed(listings: FileListings, kept: Path) -> None:
    whole = kept.read_bytes()
    for at in range(len(whole)):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert listings.recall("ann") is None


def test_another_maildrops_file_is_nothing(listings: FileListings, kept: Path, tmp_path: Path) -> None:
    listings.keep("bob", a_listing())
    (other,) = set(files(tmp_path)) - {kept}
    other.write_bytes(kept.read_bytes())
    assert listings.recall("bob") is None
    assert listings.recall("ann") == a_listing(50)


def test_a_file_that_is_too_large_is_not_read(
    listings: FileListings, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OCTETS", 300)
    assert listings.recall("ann") is None
    assert not kept.exists()


def test_a_listing_that_is_too_large_is_not_kept_and_the_one_before_is_not_either(
    listings: FileListings, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OCTETS", 300)
    listings.keep("ann", a_listing(50))
    assert not kept.exists()


def test_a_link_in_the_place_of_the_file_is_not_followed(
    listings: FileListings, kept: Path, tmp_path: Path
) -> None:
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    assert listings.recall("ann") is None
    listings.keep("ann", a_listing())
    assert not kept.is_symlink()
    assert listings.recall("ann") == a_listing()


def test_what_cannot_be_written_is_an_error_and_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "listings").touch()
    listings = FileListings(tmp_path / "listings")
    with pytest.raises(StateError, match=r"listing .*Not a directory"):
        listings.keep("ann", a_listing())
    with pytest.raises(StateError):
        listings.forget("ann")
    assert listings.recall("ann") is None


def test_a_full_disk_leaves_what_was_there(
    listings: FileListings, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StateError, match="No space left"):
        listings.keep("ann", a_listing())
    assert files(tmp_path) == [kept]
    assert listings.recall("ann") == a_listing(50)


# Several at once

WRITER = """
import sys, time
from array import array
from pathlib import Path
from gateway.maildrop import Listing
from gateway.maildrop.listing import BELIEVED_SECONDS
from gateway.store import FileListings
listings, number, end = FileListings(Path(sys.argv[1])), int(sys.argv[2]), time.monotonic() + 1.0
while time.monotonic() < end:
    listings.keep("ann", Listing(number, 1, array("I", [number] * 2000), array("Q", [number] * 2000)))
"""


def test_two_processes_and_a_reader_never_see_half_a_listing(listings: FileListings, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "listings")]
    writers = [subprocess.Popen([*command, str(number)]) for number in (1, 2)]
    seen: set[int] = set()
    while any(writer.poll() is None for writer in writers):
        if found := listings.recall("ann"):
            seen.add(found.uidvalidity)
            assert set(found.uids) == set(found.sizes) == {found.uidvalidity}
            assert len(found.uids) == 2000
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {1, 2}
    assert seen
    assert len(files(tmp_path)) == 1


def test_threads_may_write_one_maildrop_at_once(listings: FileListings, tmp_path: Path) -> None:
    def write(number: int) -> None:
        for _ in range(20):
            listings.keep("ann", a_listing(number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = listings.recall("ann")
    assert found in [a_listing(number) for number in range(1, 6)]
    assert len(files(tmp_path)) == 1


# Growth


def test_what_is_too_old_to_be_believed_is_removed_when_something_is_written_beside_it(
    listings: FileListings, kept: Path
) -> None:
    old, torn, young = (kept.with_name(name) for name in ("old", "ann.x8d_temporary", "young"))
    for path, seconds in ((old, BELIEVED_SECONDS + 60), (torn, BELIEVED_SECONDS + 60), (young, 3600.0)):
        path.touch()
        then = time.time() - seconds
        os.utime(path, (then, then))
    listings.keep("ann", a_listing())
    assert old.exists(), "this process looked here a moment ago"
    FileListings(kept.parents[1]).keep("ann", a_listing())
    assert sorted(path.name for path in kept.parent.iterdir()) == sorted([kept.name, young.name])


def test_a_sweep_has_an_end(listings: FileListings, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_FILES", 5)
    for number in range(10):
        path = kept.with_name(f"old{number}")
        path.touch()
        os.utime(path, (0, 0))
    FileListings(kept.parents[1]).keep("ann", a_listing())
    assert 6 <= len(list(kept.parent.iterdir())) <= 7
