"""oidc-provider: an authorization server (OAuth 2.0, OpenID Connect) that others wrote and had certified.

It is what Microsoft and Google are to the gateway. It does as it is told besides (`behave`), keeps in mind what
its token endpoint was asked, and `browser.py` signs in at its pages as a person does.
"""

import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.servers.browser import Browser, http_client
from tests.servers.fixtures import requires
from tests.servers.machine import free_ports
from tests.servers.tls import Certificates
from tests.skipping import skip_unless_ci

ADDRESS = "127.0.0.1"
STOP_SECONDS = 10.0
SCOPE = "imap"  # the one that it has for mailboxes
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"

_FOLDER = Path(__file__).with_name("oidc_provider")


@dataclass(frozen=True, slots=True)
class Registered:
    """An application that the server knows."""

    client_id: str
    client_secret: str = ""  # "": a public one


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to the token endpoint, without what is secret in it."""

    grant_type: str
    client_id: str = ""
    scope: str = ""
    refresh: str = ""  # SHA-256 of the refresh token, in hexadecimal


class AuthorizationServer:
    """`certificates`: it speaks HTTPS."""

    def __init__(self, certificates: Certificates | None = None) -> None:
        node = requires("node", "nodejs")
        if not (_FOLDER / "node_modules" / "oidc-provider").is_dir():
            skip_unless_ci("no oidc-provider for these tests: make authorization-server")
        self.ca_file = certificates.ca_file if certificates else None
        [port] = free_ports(ADDRESS, 1)
        told = {"host": ADDRESS, "port": port}
        if certificates:
            told |= {"cert": str(certificates.cert_file), "key": str(certificates.key_file)}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self._process = subprocess.Popen(
            [node, str(_FOLDER / "server.js"), json.dumps(told)],
            stdin=subprocess.PIPE,  # at its end it ends
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdout
        started = self._process.stdout.readline()
        if not started:
            self._errors.seek(0)
            raise RuntimeError(f"oidc-provider did not start: {self._errors.read().decode()}")
        said = json.loads(started)
        self.issuer: str = said["issuer"]
        self._control = f"http://{ADDRESS}:{said['control']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=STOP_SECONDS)
        self._errors.close()

    # Where it is

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """As OpenID Connect Discovery has it."""
        with self._http() as http:
            found: dict[str, Any] = http.get(f"{self.issuer}/.well-known/openid-configuration").json()
        return found

    @property
    def authorization_endpoint(self) -> str:
        return str(self.metadata["authorization_endpoint"])

    @property
    def token_endpoint(self) -> str:
        return str(self.metadata["token_endpoint"])

    @property
    def device_endpoint(self) -> str:
        return str(self.metadata["device_authorization_endpoint"])

    @property
    def introspection_endpoint(self) -> str:
        return str(self.metadata["introspection_endpoint"])

    @property
    def revocation_endpoint(self) -> str:
        return str(self.metadata["revocation_endpoint"])

    @property
    def signing_keys(self) -> list[dict[str, Any]]:
        """Public ones, as JWKs."""
        with self._http() as http:
            found: list[dict[str, Any]] = http.get(str(self.metadata["jwks_uri"])).json()["keys"]
        return found

    # Who is known there

    def register(self, *redirect_uris: str, public: bool = False, **metadata: Any) -> Registered:
        """An application of a test's own (RFC 7591). A public one may be redirected to any port of loopback."""
        asked = {
            "redirect_uris": redirect_uris or ["http://127.0.0.1/"],
            "grant_types": ["authorization_code", "refresh_token", DEVICE_CODE, "client_credentials", "password"],
            "application_type": "native" if public else "web",
            "token_endpoint_auth_method": "none" if public else "client_secret_post",
        }
        with self._http() as http:
            answer = http.post(f"{self.issuer}/reg", json=asked | metadata)
        assert answer.status_code == 201, answer.text
        said = answer.json()
        return Registered(said["client_id"], said.get("client_secret", ""))

    def register_service_account(self, public_key: dict[str, Any]) -> str:
        """Of whoever signs with this key (as a JWK): the issuer that its assertions must have."""
        keys = {"keys": [public_key]}
        return self.register(
            public=True, redirect_uris=[], response_types=[], grant_types=[JWT_BEARER], jwks=keys
        ).client_id

    def revoke_token(self, token: str, client: Registered) -> None:
        """One token, and nothing else of its grant (RFC 7009)."""
        asking = {"client_id": client.client_id, "client_secret": client.client_secret}
        with self._http() as http:
            answer = http.post(self.revocation_endpoint, data={"token": token} | asking)
        assert answer.status_code == 200, answer.text

    def add_user(self, name: str, password: str) -> None:
        """For the grants that need one; its pages let everybody in."""
        self._order("user", name=name, password=password)

    def revoke(self, name: str) -> None:
        """All that this user has granted, and the user."""
        self._order("revoke", name=name)

    # How it behaves

    def behave(self, **changes: Any) -> None:
        """As usual but for these.

        access_seconds, device_seconds: how long an access token and a device code are good for. jwt: access
        tokens are JWTs. rotate: each refresh token once. delay: seconds before the token endpoint answers.
        status, headers, body: its answer.
        """
        names = {"access_seconds": "accessSeconds", "device_seconds": "deviceSeconds"}
        self._order("behave", **{names.get(name, name): value for name, value in changes.items()})

    def down(self) -> None:
        """Nobody listens at its port, until `up`. What it knows it keeps."""
        self._order("down")

    def up(self) -> None:
        self._order("up")

    # What it was asked

    @property
    def asked(self) -> list[Asked]:
        """At the token endpoint, since `forget`."""
        return [Asked(**request) for request in self._order("requests")]

    def forget(self) -> None:
        self._order("forget")

    def introspect(self, token: str, client: Registered) -> dict[str, Any]:
        """RFC 7662: `active`, and of whom."""
        asking = {"client_id": client.client_id} | (
            {"client_secret": client.client_secret} if client.client_secret else {}
        )
        with self._http() as http:
            answer = http.post(self.introspection_endpoint, data={"token": token} | asking)
        found: dict[str, Any] = answer.json()
        return found

    def browser(self) -> Browser:
        """A person who has not signed in yet."""
        return Browser(self.issuer, self.ca_file)

    def _http(self) -> httpx.Client:
        return http_client(self.ca_file)

    def _order(self, order: str, **values: Any) -> Any:
        request = urllib.request.Request(self._control, json.dumps({"order": order} | values).encode())
        with urllib.request.urlopen(request, timeout=STOP_SECONDS) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def shared_authorization() -> Iterator[AuthorizationServer]:
    with AuthorizationServer() as running:
        yield running


@pytest.fixture
def authorization(shared_authorization: AuthorizationServer) -> AuthorizationServer:
    """As it usually behaves, and asked for nothing yet. Applications and users are each test's own."""
    shared_authorization.up()
    shared_authorization.behave()
    shared_authorization.forget()
    return shared_authorization


@pytest.fixture(scope="session")
def authorization_over_tls(certificates: Certificates) -> Iterator[AuthorizationServer]:
    """Another one, for what is about HTTPS."""
    with AuthorizationServer(certificates) as running:
        yield running
