"""A fake server with three messages, and clients of it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.fakes.imap import FakeImap
from tests.fakes.raw_client import Client

ONE = b"Subject: one\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\n\r\nsecond\r\n"


@pytest.fixture
def fake() -> Iterator[FakeImap]:
    with FakeImap() as server:
        server.add_user("ann", "secret")
        server.deliver("ann", [ONE, TWO, ONE])
        yield server


@pytest.fixture
def client(fake: FakeImap) -> Iterator[Client]:
    with closing(Client(fake.imap_port)) as made:
        yield made


@pytest.fixture
def selected(client: Client) -> Client:
    client.line()
    client.ask("LOGIN ann secret")
    client.ask("SELECT INBOX")
    return client
