"""A server behind that does what real ones cannot be made to do."""

from collections.abc import Iterator

import pytest

from tests.fakes.imap import FakeImap
from tests.servers.tls import Certificates


@pytest.fixture
def fake(certificates: Certificates) -> Iterator[FakeImap]:
    with FakeImap(certificates) as running:
        yield running
