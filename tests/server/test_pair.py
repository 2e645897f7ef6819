"""A certificate and its key that cannot be used: the error names the setting and the file to look at."""

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.server.pair import Pair
from tests.servers import tls

Spoil = Callable[[Path, Path], None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With cert.pem and its key.pem; what is told of them is told with bare names."""
    monkeypatch.chdir(tmp_path)
    tls.make(tmp_path)
    return tmp_path


def told(certificate: str = "cert.pem", key: str | None = "key.pem") -> str:
    pair = Pair(Path(certificate), Path(key) if key else None)
    with pytest.raises(SettingsError) as caught:
        pair.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    return str(caught.value)


def encrypt(folder: Path, style: str) -> None:
    """key.pem, with a passphrase: as PKCS #8, or in OpenSSL's older form."""
    command = ["openssl", *style.split(), "-in", "key.pem", "-out", "encrypted.pem", "-passout", "pass:x"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)


@pytest.mark.usefixtures("folder")
def test_what_belongs_together_is_taken() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Pair(Path("cert.pem"), Path("key.pem")).load_into(context)
    Path("both.pem").write_bytes(Path("key.pem").read_bytes() + Path("cert.pem").read_bytes())
    Pair(Path("both.pem")).load_into(context)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("none.pem", "key.pem", "tls.certificate: none.pem: No such file or directory"),
        ("cert.pem", "none.pem", "tls.key: none.pem: No such file or directory"),
        ("cert.pem", ".", "tls.key: .: Is a directory"),
        ("/dev/null", "key.pem", "tls.certificate: /dev/null holds no certificate in PEM"),
        ("cert.pem", "/dev/null", "tls.key: /dev/null holds no private key in PEM"),
        ("cert.pem", None, "tls.certificate: cert.pem holds no private key in PEM; set tls.key"),
        (
            "key.pem",
            "cert.pem",
            "tls.certificate: key.pem holds no certificate in PEM; are tls.certificate and tls.key swapped?",
        ),
        ("ca.pem", "key.pem", "tls.key: key.pem: the key does not belong to the certificate in ca.pem"),
    ],
)
def test_the_file_that_is_to_blame_is_named(certificate: str, key: str | None, said: str) -> None:
    assert told(certificate, key) == said


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("name", "setting"), [("cert.pem", "tls.certificate"), ("key.pem", "tls.key")])
def test_a_damaged_file_is_told_from_a_good_one(name: str, setting: str) -> None:
    lines = Path(name).read_text().splitlines(keepends=True)
    Path(name).write_text("".join([lines[0], *lines[2:]]))
    assert told().startswith(f"{setting}: {name}")
    assert "damaged" in told()


@pytest.mark.parametrize("style", ["pkcs8 -topk8", "ec -aes128"])
def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_passphrase(folder: Path, style: str) -> None:
    encrypt(folder, style)
    assert told(key="encrypted.pem") == (
        "tls.key: encrypted.pem: the key is encrypted; "
        "decrypt it: openssl pkey -in encrypted.pem -out decrypted.pem"
    )
