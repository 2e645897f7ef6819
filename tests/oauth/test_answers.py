"""Answers that are none: what a provider should never say, and what becomes of it."""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import GatewayError, ProviderError, RegistrationRefused, SignInNeeded
from gateway.oauth import Client, Provider, Renewals, begin_device, deadline, poll_device, transport
from gateway.oauth.device import DeviceCode
from gateway.ports import Grant, Registration, Renewal, Tokens
from gateway.sasl import Secret
from tests.oauth.conftest import grant
from tests.oauth.liar import Liar, answer

REFRESH = Secret("the-refresh-token-itself")
GOOD = {"access_token": "abc", "token_type": "Bearer", "expires_in": 60}


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as running:
        yield running


@pytest.fixture
def client(liar: Liar) -> Client:
    provider = Provider(
        "corp", "Corp", "", token=f"{liar.url}/token", device=f"{liar.url}/device", revocation=f"{liar.url}/revoke"
    )
    return Client(provider, "our-id", Secret("the-client-secret-itself"))


def refreshed(client: Client, given: Grant | None = None) -> Tokens:
    return Renewals({"corp": client}).renew(given or grant(refresh=REFRESH), "ann", Secret(""))


def fault(client: Client) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        refreshed(client)
    return caught.value


# What an answer may look like


@pytest.mark.parametrize(
    ("changed", "lasting"),
    [({}, 60), ({"expires_in": "60"}, 60), ({"expires_in": 60.0}, 60), ({"token_type": "bEARER"}, 60)],
)
def test_providers_spell_their_answers_in_several_ways(
    liar: Liar, client: Client, changed: dict[str, Any], lasting: float
) -> None:
    liar.reply = answer(GOOD | changed)
    before = time.time()
    assert before + lasting <= refreshed(client).expires <= time.time() + lasting


def test_a_token_may_say_nothing_of_its_end(liar: Liar, client: Client) -> None:
    liar.reply = answer({"access_token": "abc"})
    assert refreshed(client) == Tokens(Secret("abc"), 0.0)


def test_a_refresh_token_that_is_the_last_one_again_is_none(liar: Liar, client: Client) -> None:
    liar.reply = answer(GOOD | {"refresh_token": REFRESH.reveal()})
    assert refreshed(client).refresh is None


def test_the_clock_of_the_provider_says_nothing(liar: Liar, client: Client) -> None:
    liar.reply = answer(GOOD, "200 OK", "Date: Thu, 01 Jan 1970 00:00:00 GMT")
    assert refreshed(client).expires > time.time()


@pytest.mark.parametrize(
    "changed",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 1},
        {"access_token": "a\x01auth=Bearer b"},
        {"access_token": "a\r\nb"},
        {"access_token": "ü"},
        {"access_token": "a" * 20_000},
        {"token_type": "mac"},
        {"token_type": 1},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": "soon"},
        {"expires_in": []},
        {"expires_in": True},
        {"refresh_token": 1},
        {"refresh_token": "a b"},
        {"refresh_token": ""},
    ],
)
def test_a_token_that_is_none_costs_nothing(liar: Liar, client: Client, changed: dict[str, Any]) -> None:
    liar.reply = answer(GOOD | changed)
    found = fault(client)
    assert type(found) is ProviderError
    assert str(found).startswith("corp: refreshing the access token: the answer ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'"abc"',
        b"{",
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"expires_in": 1e999, "access_token":"a"}',
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
def test_a_body_that_is_no_answer_costs_nothing(liar: Liar, client: Client, body: bytes, status: str) -> None:
    liar.reply = answer(body, status)
    found = fault(client)
    assert type(found) is ProviderError
    assert len(str(found)) < 400


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_grant", SignInNeeded),
        ("interaction_required", SignInNeeded),
        ("consent_required", SignInNeeded),
        ("invalid_client", RegistrationRefused),
        ("unauthorized_client", RegistrationRefused),
        ("invalid_scope", RegistrationRefused),
        ("invalid_request", RegistrationRefused),
        ("temporarily_unavailable", ProviderError),
        ("something_new", ProviderError),
        ("", ProviderError),
        (17, ProviderError),
        (["invalid_grant"], ProviderError),
        ({"errorId": "invalid_grant"}, ProviderError),
    ],
)
@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "200 OK"])
def test_who_can_mend_it_is_told_by_the_code(
    liar: Liar, client: Client, code: Any, kind: type[GatewayError], status: str
) -> None:
    liar.reply = answer({"error": code, "error_description": "AADSTS50173: a reason"}, status)
    found = fault(client)
    assert type(found) is kind
    assert "AADSTS50173: a reason" in str(found)


@pytest.mark.parametrize("renewal", [Renewal.CLIENT])
def test_what_no_owner_can_mend_is_the_operator_s(liar: Liar, client: Client, renewal: Renewal) -> None:
    liar.reply = answer({"error": "invalid_grant"}, "400 Bad Request")
    with pytest.raises(RegistrationRefused, match="invalid_grant"):
        refreshed(client, grant(renewal))


def test_a_reason_is_printable_and_short(liar: Liar, client: Client) -> None:
    liar.reply = answer({"error": "x", "error_description": "one\r\ntwo\x1b[31m" + "y" * 5000}, "400 Bad")
    said = str(fault(client))
    assert "one two [31m" in said
    assert said.isprintable()
    assert len(said) < 450


@pytest.mark.parametrize("secret", [REFRESH.reveal(), "the-client-secret-itself", "refresh-token-its"])
@pytest.mark.parametrize("where", ["error", "error_description"])
def test_no_error_repeats_a_secret(liar: Liar, client: Client, secret: str, where: str) -> None:
    liar.reply = answer({"error": "invalid_grant"} | {where: f"no such token: {secret}"}, "400 Bad Request")
    found = fault(client)
    assert secret not in str(found)
    assert "it repeats a secret, so it is not shown" in str(found)
    assert found.__cause__ is None


def test_a_refresh_leaves_the_scopes_as_they_were(liar: Liar, client: Client) -> None:
    liar.reply = answer(GOOD)
    refreshed(client)
    assert liar.forms == [
        {
            "grant_type": "refresh_token",
            "refresh_token": REFRESH.reveal(),
            "client_id": "our-id",
            "client_secret": "the-client-secret-itself",
        }
    ]


def test_an_account_s_own_registration_is_used(liar: Liar, client: Client) -> None:
    liar.reply = answer(GOOD)
    refreshed(client, replace(grant(refresh=REFRESH), registration=Registration("another-id")))
    assert (liar.forms[0]["client_id"], "client_secret" in liar.forms[0]) == ("another-id", False)


def test_a_grant_that_cannot_be_given_back_is_told(liar: Liar, client: Client) -> None:
    liar.reply = answer({"error": "unsupported_token_type"}, "400 Bad Request")
    with pytest.raises(ProviderError, match="revoking the grant: unsupported_token_type"):
        Renewals({"corp": client}).revoke(grant(refresh=REFRESH))
    nowhere = replace(client, provider=replace(client.provider, revocation=""))
    Renewals({"corp": nowhere}).revoke(grant(refresh=REFRESH))
    assert liar.paths == ["/revoke"]


# The way there


def test_no_redirect_is_followed(liar: Liar, client: Client) -> None:
    liar.reply = answer(b"", "307 Temporary Redirect", f"Location: {liar.url}/elsewhere")
    assert "status 307: it leads elsewhere, which is not followed" in str(fault(client))
    assert liar.paths == ["/token"]


def test_an_answer_without_end_is_cut_off(liar: Liar, client: Client) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    liar.reply = endless
    assert f"the answer has more than {transport.ANSWER_OCTETS} octets" in str(fault(client))


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_comes_drop_by_drop_is_given_up(
    liar: Liar, client: Client, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    def dripping(connection: socket.socket) -> None:
        connection.sendall(before)
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    monkeypatch.setattr(transport, "CALL_SECONDS", 1.0)
    liar.reply = dripping
    assert "/token: no answer in time" in str(fault(client))


def test_a_name_may_have_addresses_that_do_not_answer(
    liar: Liar, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens at 127.0.0.9, and the server at 127.0.0.1 only."""
    monkeypatch.setattr(deadline, "_addresses", lambda host, port: ["127.0.0.9", "127.0.0.1"])
    liar.reply = answer(GOOD)
    assert refreshed(client).access == Secret("abc")
    monkeypatch.setattr(deadline, "_addresses", lambda host, port: ["127.0.0.9"] * 2)
    assert "Connection refused" in str(fault(client))
    monkeypatch.setattr(deadline, "_addresses", lambda host, port: [])
    assert "127.0.0.1 has no address" in str(fault(client))


def test_all_addresses_together_have_no_more_time_than_one(
    liar: Liar, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first takes it all: its queue is full, so it does not answer."""
    with socket.create_server(("127.0.0.9", liar.port), backlog=0), contextlib.ExitStack() as waiting:
        for _ in range(3):
            connection = waiting.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.9", liar.port))
        monkeypatch.setattr(transport, "CALL_SECONDS", 0.5)
        monkeypatch.setattr(deadline, "_addresses", lambda host, port: ["127.0.0.9", "127.0.0.1"])
        assert "/token: no answer in time" in str(fault(client))
    assert liar.paths == []


def test_silence_is_given_up(liar: Liar, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SILENCE_SECONDS", 0.2)
    liar.reply = lambda connection: connection.recv(1)  # until we hang up
    assert "/token: no answer in time" in str(fault(client))


@pytest.mark.parametrize(
    "octets", [b"", b"\x00", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_what_is_no_web_server_is_told(liar: Liar, client: Client, octets: bytes) -> None:
    liar.reply = octets
    assert type(fault(client)) is ProviderError


# Device codes

DEVICE = {
    "device_code": "d",
    "user_code": "ABCD",
    "verification_uri": "https://example.org/device",
    "expires_in": 900,
    "interval": 5,
}


def begun(liar: Liar, client: Client, **changed: Any) -> DeviceCode:
    liar.replies["/device"] = answer(DEVICE | changed)
    return begin_device(client)


def test_a_provider_that_is_asked_too_often_is_asked_less_often(liar: Liar, client: Client) -> None:
    code = begun(liar, client)
    liar.replies["/token"] = answer({"error": "slow_down"}, "400 Bad Request")
    slower = poll_device(client, code)
    assert slower == replace(code, interval=10)
    assert isinstance(slower, DeviceCode)
    assert poll_device(client, slower) == replace(code, interval=15)


def test_a_poll_that_fails_may_be_tried_again(liar: Liar, client: Client) -> None:
    code = begun(liar, client)
    liar.replies["/token"] = answer(b"", "503 Busy")
    with pytest.raises(ProviderError, match="status 503"):
        poll_device(client, code)
    liar.replies["/token"] = answer(GOOD | {"refresh_token": "r"})
    assert isinstance(poll_device(client, code), Tokens)


@pytest.mark.parametrize(("said", "kept"), [(0, 1), (-5, 1), (7, 7), (10**6, 60), ("3", 3)])
def test_an_interval_is_a_sensible_one(liar: Liar, client: Client, said: Any, kept: float) -> None:
    assert begun(liar, client, interval=said).interval == kept


def test_a_code_is_good_for_an_hour_at_most(liar: Liar, client: Client) -> None:
    assert begun(liar, client, expires_in=10**9).expires < time.time() + 3601


def test_google_s_spelling_of_the_address_is_known(liar: Liar, client: Client) -> None:
    code = begun(liar, client, verification_uri=None, verification_url="https://www.google.com/device")
    assert code.verification_uri == "https://www.google.com/device"


@pytest.mark.parametrize(
    "changed",
    [
        {"user_code": None},
        {"user_code": "A\x1b[2JB"},
        {"user_code": "A" * 2000},
        {"device_code": 1},
        {"verification_uri": "http://example.org/device"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri_complete": "http://example.org/?user_code=ABCD"},
        {"expires_in": None},
        {"expires_in": "soon"},
        {"interval": "often"},
    ],
)
def test_a_code_that_cannot_be_shown_is_none(liar: Liar, client: Client, changed: dict[str, Any]) -> None:
    with pytest.raises(ProviderError, match="signing in by a code: the answer makes no sense"):
        begun(liar, client, **changed)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>"])
def test_an_answer_without_a_code_is_none(liar: Liar, client: Client, body: bytes) -> None:
    liar.replies["/device"] = answer(body)
    with pytest.raises(ProviderError, match="status 200, and no answer in JSON"):
        begin_device(client)
