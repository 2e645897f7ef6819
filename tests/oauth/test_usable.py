"""Files that the settings name are looked at when the gateway starts, and not when the first client logs in."""

from pathlib import Path
from typing import Any

import pytest

from gateway.app.gateway import Gateway, preload
from gateway.config import Settings, load
from gateway.errors import SettingsError
from gateway.oauth import demand_usable
from tests.oauth.keys import certificate, key_file, service_account
from tests.servers.authorization import AuthorizationServer
from tests.servers.tls import Certificates


def settings(**files: Path) -> Settings:
    google: dict[str, Any] = {"client_id": "abc", **{setting: str(file) for setting, file in files.items()}}
    return load(None, {}, {("upstream",): "imaps://imap.example.com", ("oauth",): {"google": google}})


def test_what_can_be_used_passes(
    authorization: AuthorizationServer, certificates: Certificates, tmp_path: Path
) -> None:
    files = {"certificate": certificate(tmp_path), "service_account": service_account(authorization, tmp_path)}
    demand_usable(settings(ca_file=certificates.ca_file, **files).clients().values())


@pytest.mark.parametrize("setting", ["certificate", "service_account", "ca_file"])
@pytest.mark.parametrize("octets", [None, b"nonsense"])
def test_what_cannot_is_told_with_its_setting(tmp_path: Path, setting: str, octets: bytes | None) -> None:
    file = tmp_path / "file"
    if octets is not None:
        key_file(tmp_path, "file", octets)
    with pytest.raises(SettingsError) as caught:
        demand_usable(settings(**{setting: file}).clients().values())
    assert str(caught.value).startswith(f"oauth.google.{setting}: {file}: ")


@pytest.mark.parametrize("start", [lambda given: Gateway(given, lambda _: None), preload], ids=["one", "workers"])
def test_the_gateway_does_not_start(tmp_path: Path, start: Any) -> None:
    with pytest.raises(SettingsError, match=r"oauth\.google\.certificate: .*: No such file or directory"):
        start(settings(certificate=tmp_path / "none.pem"))
