"""A settings file in a folder of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Settings, load
from gateway.errors import SettingsError

Loader = Callable[..., Settings]
Fault = Callable[..., str]


@pytest.fixture
def loaded(tmp_path: Path) -> Loader:
    """loaded(text, environment, options): the settings; the file is `gateway.yaml` in `tmp_path`."""

    def read(
        text: str | bytes,
        environment: Mapping[str, str] | None = None,
        options: Mapping[tuple[str, ...], Any] | None = None,
    ) -> Settings:
        file = tmp_path / "gateway.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(file, environment or {}, options or {})

    return read


@pytest.fixture
def fault(loaded: Loader, tmp_path: Path) -> Fault:
    """The same, where it must fail: what the error says, without the folder's name."""

    def read(*args: Any) -> str:
        with pytest.raises(SettingsError) as caught:
            loaded(*args)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return read
