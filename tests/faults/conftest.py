"""A gateway behind a relay before Dovecot, which all tests of a file share: each has a user of its own."""

from collections.abc import Iterator

import pytest

from tests.faults.rig import Rig
from tests.servers.dovecot import Dovecot


@pytest.fixture(scope="module")
def shared_rig(dovecot: Dovecot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(dovecot, tmp_path_factory.mktemp("rig")) as rig:
        yield rig


@pytest.fixture
def rig(shared_rig: Rig) -> Iterator[Rig]:
    """Healthy, before and after."""
    shared_rig.relay.heal()
    yield shared_rig
    shared_rig.relay.heal()
