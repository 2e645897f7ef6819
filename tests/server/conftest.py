"""A server behind that does what real ones cannot be made to do."""

from collections.abc import Iterator

import pytest

from tests.fakes.imap import FakeImap
from tests.server.sessions import MAIL
from tests.servers.fixtures import Mailbox, new_mailbox
from tests.servers.tls import Certificates


@pytest.fixture
def fake(certificates: Certificates) -> Iterator[FakeImap]:
    with FakeImap(certificates) as running:
        yield running


@pytest.fixture
def drop(fake: FakeImap) -> Mailbox:
    """With three messages."""
    made = new_mailbox(fake)
    made.deliver(MAIL)
    return made
