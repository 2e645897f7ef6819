"""What all conformance tests need."""

import pytest

from tests.servers import tls
from tests.servers.tls import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return tls.make(tmp_path_factory.mktemp("tls"))
