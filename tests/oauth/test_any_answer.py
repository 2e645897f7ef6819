"""Whatever a provider, or whoever pastes an answer, says: tokens, or one of our errors."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError, ProviderError, SignInNeeded
from gateway.oauth import Client, DeviceCode, Provider, Renewals, SignIn, begin_device, redeem
from gateway.ports import Tokens
from gateway.sasl import Secret
from tests.oauth.conftest import REDIRECT, grant
from tests.oauth.liar import Liar, answer

SECRET = "the-refresh-token-itself"
STATE = "the-state"

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(SECRET)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
names = ("access_token", "token_type", "expires_in", "refresh_token", "scope", "error", "error_description")
shown = ("device_code", "user_code", "verification_uri", "verification_uri_complete", "expires_in", "interval")
statuses = st.sampled_from(["200 OK", "400 Bad Request", "401 Unauthorized", "418 Teapot", "503 Busy"])


def objects(*keys: str) -> st.SearchStrategy[Any]:
    likely = st.sampled_from(["abc", "Bearer", 60, "invalid_grant", "https://example.org/device"])
    return st.dictionaries(st.sampled_from(keys), likely | values) | values


def client_of(liar: Liar) -> Client:
    provider = Provider("corp", "Corp", "", token=f"{liar.url}/token", device=f"{liar.url}/device")
    return Client(provider, "our-id")


def outcome(ask: Callable[[], Any]) -> Any:
    """What comes of it, errors of ours included; any other is a bug."""
    try:
        return ask()
    except (ProviderError, SignInNeeded) as error:
        return error


@settings(max_examples=150, deadline=None)
@given(objects(*names), statuses)
def test_a_token_endpoint_may_say_anything(body: Any, status: str) -> None:
    with Liar() as liar:
        liar.reply = answer(body, status)
        renewals = Renewals({"corp": client_of(liar)})
        found = outcome(lambda: renewals.renew(grant(refresh=Secret(SECRET)), "ann", Secret("")))
    if isinstance(found, Tokens):
        assert found.access.reveal().isprintable()
    else:
        assert SECRET not in str(found)
        assert str(found).isprintable()


@settings(max_examples=100, deadline=None)
@given(objects(*shown), statuses)
def test_a_device_endpoint_may_say_anything(body: Any, status: str) -> None:
    with Liar() as liar:
        liar.reply = answer(body, status)
        found = outcome(lambda: begin_device(client_of(liar)))
    if isinstance(found, DeviceCode):
        assert found.user_code.isprintable()
        assert found.verification_uri.startswith("https://")
        assert 1 <= found.interval <= 60
    else:
        assert str(found).isprintable()


words = ("?", "&", "=", "#", "code", "state", "error", "iss", STATE, "https://", "%00", "%", "[", "\n")
letters = st.text(st.characters())  # surrogates, too


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(words) | letters, max_size=12).map("".join))
def test_an_answer_may_be_anything(pasted: str) -> None:
    """The provider is away: what could be a code is asked about."""
    nowhere = Client(Provider("corp", "Corp", "", token="http://127.0.0.1:1/token"), "our-id")
    sign_in = SignIn("https://example.org/", STATE, Secret("verifier" * 8), REDIRECT)
    found = outcome(lambda: redeem(nowhere, sign_in, pasted))
    assert isinstance(found, GatewayError)
    assert str(found).isprintable()
