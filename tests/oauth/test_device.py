"""The owner signs in on another device."""

import time
from dataclasses import replace

import pytest

from gateway.errors import RegistrationRefused, SignInNeeded
from gateway.oauth import Client, begin_device, poll_device
from gateway.ports import Tokens
from tests.oauth.conftest import provider_at
from tests.servers.authorization import AuthorizationServer, Registered
from tests.servers.machine import wait


def test_the_owner_types_the_code_and_we_have_tokens(
    authorization: AuthorizationServer, registered: Registered, client: Client
) -> None:
    code = begin_device(client)
    assert poll_device(client, code) == code
    with authorization.browser() as browser:
        assert "Success" in browser.enter_code(code.verification_uri, code.user_code, "ann")
    tokens = poll_device(client, code)
    assert isinstance(tokens, Tokens)
    assert tokens.refresh is not None
    assert authorization.introspect(tokens.access.reveal(), registered)["sub"] == "ann"


def test_what_is_shown_to_the_owner(authorization: AuthorizationServer, client: Client) -> None:
    began = time.time()
    code = begin_device(client)
    assert code.verification_uri == f"{authorization.issuer}/device"
    assert code.verification_uri_complete == f"{authorization.issuer}/device?user_code={code.user_code}"
    assert code.interval == 5  # RFC 8628 section 3.2, where none is said
    assert began + 600 <= code.expires <= time.time() + 600
    assert code.device_code.reveal() not in repr(code)


def test_the_owner_says_no(authorization: AuthorizationServer, client: Client) -> None:
    code = begin_device(client)
    with authorization.browser() as browser:
        browser.enter_code(code.verification_uri, code.user_code, "bob", allow=False)
    with pytest.raises(SignInNeeded, match="said no: access_denied"):
        poll_device(client, code)


def test_a_code_that_has_expired_there(authorization: AuthorizationServer, client: Client) -> None:
    authorization.behave(device_seconds=1)
    code = replace(begin_device(client), expires=time.time() + 600)
    found: list[str] = []

    def has_expired() -> bool:
        try:
            poll_device(client, code)
        except SignInNeeded as error:
            found.append(str(error))
        return bool(found)

    assert wait(has_expired, 20)
    assert "the code has expired: expired_token" in found[0]


def test_a_code_that_has_expired_by_our_clock_is_not_asked_with(
    authorization: AuthorizationServer, client: Client
) -> None:
    code = replace(begin_device(client), expires=time.time())
    with pytest.raises(SignInNeeded, match="the code has expired"):
        poll_device(client, code)
    assert authorization.asked == []


def test_a_provider_without_it(authorization: AuthorizationServer, client: Client) -> None:
    with pytest.raises(RegistrationRefused, match="Corp has no device endpoint"):
        begin_device(Client(provider_at(authorization, device=""), client.client_id))


def test_an_application_that_may_not(authorization: AuthorizationServer, client: Client) -> None:
    with pytest.raises(RegistrationRefused, match="invalid_client"):
        begin_device(replace(client, client_id="nobody"))
