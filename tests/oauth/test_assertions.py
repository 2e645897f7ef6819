"""What is signed, as those who read it want it (RFC 7523)."""

import base64
import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.oauth import PROVIDERS, Client, Renewals
from gateway.ports import Renewal
from gateway.sasl import Secret
from tests.oauth.conftest import grant
from tests.oauth.keys import certificate, key_file, pem
from tests.oauth.liar import Liar, answer

USER = "ann@example.org"


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as running:
        running.reply = answer({"access_token": "abc"})
        yield running


def decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def read(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = assertion.split(".")
    return decoded(header), decoded(claims)


def renew(liar: Liar, client: Client, renewal: Renewal) -> dict[str, str]:
    at_liar = replace(client.provider, token=f"{liar.url}/token", tenant="contoso.com")
    clients = {"corp": replace(client, provider=at_liar)}
    Renewals(clients).renew(grant(renewal), USER, Secret(""))
    return liar.forms[-1]


def test_an_application_says_which_certificate_it_proves_itself_by(liar: Liar, tmp_path: Path) -> None:
    """As Microsoft has it: PS256, and the SHA-256 of the certificate's DER in x5t#S256."""
    file = certificate(tmp_path)
    form = renew(liar, Client(PROVIDERS["microsoft365"], "our-id", certificate=file), Renewal.CLIENT)
    header, claims = read(form["client_assertion"])
    der = subprocess.run(
        ["openssl", "x509", "-in", file, "-outform", "DER"], capture_output=True, check=True
    ).stdout
    assert decoded_octets(header["x5t#S256"]) == hashlib.sha256(der).digest()
    assert (header["alg"], header["typ"]) == ("PS256", "JWT")
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("our-id", "our-id", f"{liar.url}/token")
    assert claims["nbf"] < time.time() < claims["exp"] < time.time() + 660
    assert (form["client_id"], form["scope"]) == ("our-id", "https://outlook.office365.com/.default")
    assert "client_secret" not in form


def test_no_assertion_is_made_twice(liar: Liar, tmp_path: Path) -> None:
    client = Client(PROVIDERS["microsoft365"], "our-id", certificate=certificate(tmp_path))
    first, second = (read(renew(liar, client, Renewal.CLIENT)["client_assertion"])[1] for _ in range(2))
    assert first["jti"] != second["jti"]


def test_a_service_account_speaks_for_a_user(liar: Liar, tmp_path: Path) -> None:
    """As Google has it: RS256, the key's number, the mailbox as sub, and an hour at most."""
    account = {
        "client_email": "gateway@project.iam.gserviceaccount.com",
        "private_key": pem(rsa.generate_private_key(65537, 2048)).decode(),
        "private_key_id": "0123abcd",
        "token_uri": "https://evil.example/token",
    }
    file = key_file(tmp_path, "account.json", json.dumps(account).encode())
    form = renew(liar, Client(PROVIDERS["google"], service_account=file), Renewal.ASSERTION)
    header, claims = read(form["assertion"])
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "0123abcd"}
    assert (claims["iss"], claims["sub"]) == (account["client_email"], USER)
    assert (claims["scope"], claims["aud"]) == ("https://mail.google.com/", f"{liar.url}/token")
    assert 0 < claims["exp"] - claims["iat"] <= 3600
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"


def decoded_octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
