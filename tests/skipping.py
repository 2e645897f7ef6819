"""What a test does where something it needs is missing."""

import os
from typing import NoReturn

import pytest


def skip_unless_ci(text: str) -> NoReturn:
    """Skip the test, but never where nobody would notice: in CI it fails."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(text)
    pytest.skip(text)
