"""The authorization server of the tests is what they take it for."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.servers.authorization import DEVICE_CODE, SCOPE, Asked, AuthorizationServer, Registered
from tests.servers.machine import wait

REDIRECT = "http://127.0.0.1:8000/answer"
VERIFIER = "v" * 43


def ask(server: AuthorizationServer, client: Registered, grant_type: str, **values: str) -> dict[str, Any]:
    known = {"grant_type": grant_type, "client_id": client.client_id, "client_secret": client.client_secret}
    said: dict[str, Any] = httpx.post(server.token_endpoint, data=known | values).json()
    return said


def signed_in(server: AuthorizationServer, client: Registered, user: str, *, allow: bool = True) -> dict[str, Any]:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
    asked = {
        "client_id": client.client_id,
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": SCOPE,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    with server.browser() as browser:
        back = browser.sign_in(f"{server.authorization_endpoint}?{urlencode(asked)}", user, allow=allow)
    answer = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    if "error" in answer:
        return answer
    code = {"code": answer["code"], "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    return ask(server, client, "authorization_code", **code)


@pytest.fixture
def client(authorization: AuthorizationServer) -> Registered:
    return authorization.register(REDIRECT)


def test_a_person_signs_in_and_the_token_says_who(authorization: AuthorizationServer, client: Registered) -> None:
    tokens = signed_in(authorization, client, "ann")
    said = authorization.introspect(tokens["access_token"], client)
    assert (said["active"], said["sub"], said["scope"]) == (True, "ann", SCOPE)


def test_a_person_says_no(authorization: AuthorizationServer, client: Registered) -> None:
    assert signed_in(authorization, client, "bob", allow=False)["error"] == "access_denied"
    assert authorization.asked == []


def test_what_is_revoked_gives_no_tokens(authorization: AuthorizationServer, client: Registered) -> None:
    tokens = signed_in(authorization, client, "carl")
    authorization.revoke("carl")
    assert authorization.introspect(tokens["access_token"], client) == {"active": False}
    refused = ask(authorization, client, "refresh_token", refresh_token=tokens["refresh_token"])
    assert refused["error"] == "invalid_grant"
    assert [asked.grant_type for asked in authorization.asked] == ["authorization_code", "refresh_token"]


def test_a_rotated_refresh_token_is_good_once(authorization: AuthorizationServer, client: Registered) -> None:
    authorization.behave(rotate=True)
    first = signed_in(authorization, client, "dora")["refresh_token"]
    second = ask(authorization, client, "refresh_token", refresh_token=first)["refresh_token"]
    assert first != second
    assert ask(authorization, client, "refresh_token", refresh_token=first)["error"] == "invalid_grant"


def test_a_code_is_entered_for_a_device(authorization: AuthorizationServer, client: Registered) -> None:
    asked = {"client_id": client.client_id, "client_secret": client.client_secret, "scope": SCOPE}
    device = httpx.post(authorization.device_endpoint, data=asked).json()
    polled = {"device_code": device["device_code"]}
    assert ask(authorization, client, DEVICE_CODE, **polled)["error"] == "authorization_pending"
    with authorization.browser() as browser:
        browser.enter_code(device["verification_uri"], device["user_code"], "emil")
    assert ask(authorization, client, DEVICE_CODE, **polled)["access_token"]


def test_a_token_is_good_for_as_long_as_it_says(authorization: AuthorizationServer, client: Registered) -> None:
    authorization.behave(access_seconds=1)
    token = signed_in(authorization, client, "gina")["access_token"]
    assert wait(lambda: not authorization.introspect(token, client)["active"], 20)


def test_it_is_down_and_up_again_and_forgets_nobody(
    authorization: AuthorizationServer, client: Registered
) -> None:
    token = signed_in(authorization, client, "fred")["access_token"]
    authorization.down()
    with pytest.raises(httpx.ConnectError):
        authorization.introspect(token, client)
    authorization.up()
    assert authorization.introspect(token, client)["active"]


def test_it_answers_as_it_is_told(authorization: AuthorizationServer, client: Registered) -> None:
    authorization.behave(status=503, body="busy")
    answer = httpx.post(authorization.token_endpoint, data={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.text) == (503, "busy")
    authorization.behave(access_seconds=7)
    assert ask(authorization, client, "client_credentials", scope=SCOPE)["expires_in"] == 7
    assert authorization.asked[-1] == Asked("client_credentials", client.client_id, SCOPE)


def test_it_speaks_https(authorization_over_tls: AuthorizationServer) -> None:
    assert authorization_over_tls.token_endpoint.startswith("https://")
    assert authorization_over_tls.register().client_secret
