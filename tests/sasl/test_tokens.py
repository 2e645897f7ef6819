"""XOAUTH2, OAUTHBEARER and EXTERNAL: what they say is taken as it is, for others to judge."""

from dataclasses import replace

import pytest

from gateway.errors import BadCredentials
from gateway.sasl import ITERATIONS, Bearer, Certified, Keyring, Secret
from tests.sasl.exchanges import OCCASION, SALT, Told, converse

NOBODY = Keyring(SALT, ITERATIONS)
TOKEN = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg=="
CERTIFIED = replace(OCCASION, certified=("ann@example.com", "Ann"))


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        pytest.param("XOAUTH2", f"user=ann@example.com\1auth=Bearer {TOKEN}\1\1", id="Google's"),
        pytest.param("XOAUTH2", f"user=ann@example.com\1auth=bearer {TOKEN}\1\1", id="case"),
        pytest.param(
            "OAUTHBEARER",
            f"n,a=ann@example.com,\1host=server.example.com\1port=110\1auth=Bearer {TOKEN}\1\1",
            id="RFC 7628 section 4.1",
        ),
        pytest.param("OAUTHBEARER", f"n,a=ann@example.com,\1auth=Bearer {TOKEN}\1\1", id="only the token"),
        pytest.param("OAUTHBEARER", f"y,a=ann@example.com,\1auth=Bearer {TOKEN}\1host=a\1\1", id="token first"),
    ],
)
def test_a_token_is_handed_on_with_its_user(mechanism: str, response: str) -> None:
    told = converse(mechanism, lambda _: response.encode(), NOBODY)
    assert told == Told([], Bearer("ann@example.com", Secret(TOKEN), mechanism))


def test_gs2_escapes_are_read() -> None:
    told = converse("OAUTHBEARER", lambda _: b"n,a=a=2Cb=3Dc,\1auth=Bearer t\1\1", NOBODY)
    assert told.claim == Bearer("a,b=c", Secret("t"), "OAUTHBEARER")


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("XOAUTH2", b""),
        ("XOAUTH2", b"user=ann\1auth=Bearer \1\1"),
        ("XOAUTH2", b"user=\1auth=Bearer t\1\1"),
        ("XOAUTH2", b"user=a\0\1auth=Bearer t\1\1"),
        ("OAUTHBEARER", b"n,a=a\0,\1auth=Bearer t\1\1"),
        ("XOAUTH2", b"user=ann\1auth=Basic t\1\1"),
        ("XOAUTH2", b"user=ann\1auth=Bearer t\1"),
        ("XOAUTH2", b"user=ann\1auth=Bearer t\r\n\1\1"),
        ("OAUTHBEARER", b"n,,\1auth=Bearer t\1\1"),
        ("OAUTHBEARER", b"p=tls-unique,a=ann,\1auth=Bearer t\1\1"),
        ("OAUTHBEARER", b"\1"),
        ("OAUTHBEARER", b"\xff"),
    ],
)
def test_what_is_no_token_is_bad_credentials_and_shows_nothing(mechanism: str, response: bytes) -> None:
    with pytest.raises(BadCredentials) as caught:
        converse(mechanism, lambda _: response, NOBODY)
    assert "Bearer t" not in str(caught.value)


@pytest.mark.parametrize(("response", "whose"), [(b"", ""), (b"bob@example.com", "bob@example.com")])
def test_external_is_what_the_certificate_says(response: bytes, whose: str) -> None:
    told = converse("EXTERNAL", lambda _: response, NOBODY, CERTIFIED)
    assert told == Told([], Certified(("ann@example.com", "Ann"), whose))


def test_without_a_certificate_external_is_nobody() -> None:
    with pytest.raises(BadCredentials, match="certificate"):
        converse("EXTERNAL", lambda _: b"ann@example.com", NOBODY)
