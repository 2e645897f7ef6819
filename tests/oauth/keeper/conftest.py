"""A desk where access tokens are handed out: a keeper, its vault, and a provider that counts."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oauth.keeping import (
    Clock,
    CountingRenewer,
    Desk,
    opened,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> CountingRenewer:
    return CountingRenewer(clock)


@pytest.fixture
def desk(tmp_path: Path, provider: CountingRenewer, clock: Clock) -> Iterator[Desk]:
    with contextlib.closing(opened(tmp_path)) as state:
        yield Desk(state, provider, clock)
