"""The owner signs in with a browser, and we redeem the code."""

import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.errors import ProviderError, RegistrationRefused, SignInNeeded
from gateway.oauth import Client, SignIn, begin, redeem
from tests.oauth.conftest import REDIRECT, client_of, provider_at
from tests.servers.authorization import AuthorizationServer, Registered

Signing = Callable[..., tuple[SignIn, str]]


def asked(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_the_owner_signs_in_and_we_have_tokens(
    authorization: AuthorizationServer, registered: Registered, client: Client, signed_in: Signing
) -> None:
    before = time.time()
    tokens = redeem(client, *signed_in("ann"))
    assert authorization.introspect(tokens.access.reveal(), registered)["sub"] == "ann"
    assert before + 3600 <= tokens.expires <= time.time() + 3600
    assert tokens.refresh is not None


def test_the_question_has_what_the_provider_wants_and_a_suggestion_of_whom(client: Client) -> None:
    begun = begin(client, REDIRECT, "ann@example.org")
    said = asked(begun.url)
    assert said["code_challenge_method"] == "S256"
    assert said["code_challenge"] not in begun.verifier.reveal()
    assert (said["state"], said["login_hint"], said["scope"]) == (begun.state, "ann@example.org", "imap")
    assert (said["response_type"], said["redirect_uri"]) == ("code", REDIRECT)


def test_no_two_questions_are_the_same(client: Client) -> None:
    first, second = begin(client, REDIRECT), begin(client, REDIRECT)
    assert first.state != second.state
    assert first.verifier != second.verifier
    assert "login_hint" not in asked(first.url)


def test_what_a_provider_wants_besides_is_asked(authorization: AuthorizationServer, client: Client) -> None:
    google = (("access_type", "offline"), ("prompt", "consent"))
    other = Client(provider_at(authorization, asked=google), client.client_id)
    said = asked(begin(other, REDIRECT).url)
    assert (said["access_type"], said["prompt"]) == ("offline", "consent")


@pytest.mark.parametrize(
    "pasted",
    [
        lambda url: url,
        lambda url: f"  {url}\n",
        lambda url: urlsplit(url).query,
        lambda url: f"?{urlsplit(url).query}",
        lambda url: f"{url}#",
        lambda url: parse_qs(urlsplit(url).query)["code"][0],
    ],
    ids=["the URL", "with blanks around", "the query", "the query with its mark", "with a fragment", "the code"],
)
def test_the_answer_may_be_pasted_by_hand(
    client: Client, signed_in: Signing, pasted: Callable[[str], str]
) -> None:
    begun, back = signed_in("bob")
    assert redeem(client, begun, pasted(back)).refresh is not None


def test_a_public_application_needs_no_secret(authorization: AuthorizationServer) -> None:
    client = client_of(authorization, authorization.register(public=True))
    begun = begin(client, "http://127.0.0.1:49152/", "carl")
    with authorization.browser() as browser:
        assert redeem(client, begun, browser.sign_in(begun.url, "carl")).refresh


def test_the_owner_says_no(authorization: AuthorizationServer, client: Client, signed_in: Signing) -> None:
    with pytest.raises(SignInNeeded, match=r"said no: access_denied: End-User aborted interaction"):
        redeem(client, *signed_in("dora", allow=False))
    assert authorization.asked == []


def test_a_code_is_good_once(client: Client, signed_in: Signing) -> None:
    begun, back = signed_in("emil")
    redeem(client, begun, back)
    with pytest.raises(SignInNeeded, match="the grant is at its end: invalid_grant"):
        redeem(client, begun, back)


def test_an_answer_to_another_question_is_not_taken(
    authorization: AuthorizationServer, client: Client, signed_in: Signing
) -> None:
    _, back = signed_in("fred")
    with pytest.raises(SignInNeeded, match="not to the question that was asked last; begin again"):
        redeem(client, begin(client, REDIRECT), back)
    assert authorization.asked == []


def test_a_code_alone_of_another_question_is_not_taken_by_the_provider(client: Client, signed_in: Signing) -> None:
    _, back = signed_in("gina")
    with pytest.raises(SignInNeeded, match="invalid_grant"):
        redeem(client, begin(client, REDIRECT), asked(back)["code"])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "not to the question"),
        (REDIRECT, "not to the question"),
        ("http://[", "not to the question"),
        ("?code=x", "not to the question"),
        ("state={state}", "there is no code in the answer; paste the whole address"),
        ("code=x&state={state}&iss=https://evil.example", "this answer is another provider's"),
        ("x" * 20_000, "the answer is too long"),
        ("error=access_denied&error_description=a%0d%0ab&state={state}", "access_denied: a b"),
        ("error=interaction_required&state={state}", "interaction_required"),
    ],
)
def test_an_answer_that_is_none(
    authorization: AuthorizationServer, client: Client, answer: str, said: str
) -> None:
    begun = begin(client, REDIRECT)
    with pytest.raises(SignInNeeded, match=said) as caught:
        redeem(client, begun, answer.replace("{state}", begun.state))
    assert str(caught.value).startswith("corp: signing in: ")
    assert authorization.asked == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unauthorized_client", RegistrationRefused),
        ("invalid_scope", RegistrationRefused),
        ("server_error", ProviderError),
        ("temporarily_unavailable", ProviderError),
        ("something_new", ProviderError),
    ],
)
def test_the_provider_itself_has_trouble(client: Client, code: str, kind: type[ProviderError]) -> None:
    begun = begin(client, REDIRECT)
    with pytest.raises(kind, match=code) as caught:
        redeem(client, begun, f"?error={code}&state={begun.state}")
    assert type(caught.value) is kind


def test_without_a_refresh_token_the_registration_is_wrong(
    authorization: AuthorizationServer,
) -> None:
    client = client_of(authorization, authorization.register(REDIRECT, grant_types=["authorization_code"]))
    begun = begin(client, REDIRECT)
    with authorization.browser() as browser:
        back = browser.sign_in(begun.url, "hans")
    with pytest.raises(RegistrationRefused, match="gave no refresh token"):
        redeem(client, begun, back)


def test_what_is_begun_does_not_print_its_secrets(client: Client) -> None:
    begun = begin(client, REDIRECT, "ann")
    shown = repr(begun) + str(begun)
    assert begun.state not in shown
    assert begun.verifier.reveal() not in shown
    assert begun.url not in shown
