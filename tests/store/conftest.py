"""Every state there is, for the contract that all of them have to keep."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.store import State, StoredVault, open_state
from tests.store.vaults import open_vault


@dataclass(frozen=True, slots=True)
class Place:
    """Where a state is."""

    folder: Path
    url: str | None = None

    @property
    def arguments(self) -> tuple[str, str]:
        """For a process that opens it, too: `open_state(Path(sys.argv[1]), sys.argv[2] or None)`."""
        return str(self.folder), self.url or ""

    def open(self) -> State:
        return open_state(self.folder, self.url)


OpenState = Callable[[], State]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path / "state")
    return Place(tmp_path / "state", request.getfixturevalue("shared_postgres").new_database())


@pytest.fixture
def start_state(place: Place) -> Iterator[OpenState]:
    """Each call is as good as another process; with PostgreSQL as another machine."""
    with contextlib.ExitStack() as opened:

        def start() -> State:
            state = place.open()
            opened.callback(state.close)
            return state

        yield start


@pytest.fixture
def state(start_state: OpenState) -> State:
    return start_state()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "vault.keys"


@pytest.fixture
def vault(state: State, key_file: Path) -> StoredVault:
    return open_vault(state, key_file)
