"""What a browser keeps for us: read by whoever has the keys, for its purpose, in its time; and cheap to refuse."""

from pathlib import Path

import pytest

from gateway.store import KeyFile, State, VaultSeal
from gateway.store.keys import add_key

SECONDS = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vault.keys"


def seal_of(state: State, file: Path) -> VaultSeal:
    made = VaultSeal(state.vault(KeyFile(None, file).keys))
    made.seal("", "")  # as the page does at its start
    return made


def test_what_is_sealed_is_read_for_its_purpose(state: State, file: Path) -> None:
    seal = seal_of(state, file)
    sealed = seal.seal("form", "text")
    assert "text" not in sealed
    assert seal.unseal("form", sealed, SECONDS) == "text"
    assert seal.unseal("operator", sealed, SECONDS) is None
    assert seal.unseal("form", sealed, -1.0) is None


def test_whoever_has_read_the_keys_before_a_rotation_reads_what_was_sealed_after_it(
    state: State, file: Path
) -> None:
    before = seal_of(state, file)
    add_key(file)
    sealed = seal_of(state, file).seal("form", "text")
    assert before.unseal("form", sealed, SECONDS) == "text"


def test_what_is_none_of_ours_makes_nobody_read_the_key_file(
    state: State, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger may send any number of such cookies."""
    seal, reads = seal_of(state, file), 0
    read_text = Path.read_text
    other = seal_of(state, file.with_name("other.keys")).seal("form", "text")

    def counted(path: Path, encoding: str) -> str:
        nonlocal reads
        reads += path == file
        return read_text(path, encoding)

    monkeypatch.setattr(Path, "read_text", counted)
    for _ in range(20):
        assert seal.unseal("form", other, SECONDS) is None
        assert seal.unseal("form", "x", SECONDS) is None
    assert reads <= 1
    add_key(file)
    assert seal.unseal("form", other, SECONDS) is None
    assert reads <= 3
