"""What is pasted as an answer: told from rubbish before a provider is asked about it."""

import pytest

from gateway.cli.sign_in.answer import fault
from gateway.oauth import SignIn
from gateway.sasl import Secret

HERE = "http://localhost:40001"
SIGN_IN = SignIn("https://provider.example/authorize", "s1", Secret("verifier"), HERE)


@pytest.mark.parametrize(
    "text",
    [
        f"{HERE}/?code=abc&state=s1",
        f"{HERE}/?state=s1&code=0.AX%2Fb&session_state=x#",
        f"{HERE}/?error=access_denied&error_description=no&state=s1",
        "?code=abc&state=s1",
        "code=abc&state=s1",
    ],
)
def test_an_answer_is_known_as_one(text: str) -> None:
    assert fault(text, SIGN_IN) == ""


@pytest.mark.parametrize(
    "text", ["", "hello", "https://provider.example/authorize?state=s1", f"{HERE}/?code=abc", "\0"]
)
def test_rubbish_is_told_with_what_is_wanted(text: str) -> None:
    assert fault(text, SIGN_IN).startswith(f"that has no code in it; it begins with {HERE}")


@pytest.mark.parametrize("state", ["s2", "", "S1", "s%31%00", "é"])
def test_an_answer_to_another_question_is_none(state: str) -> None:
    assert "another sign-in" in fault(f"{HERE}/?code=abc&state={state}", SIGN_IN)


def test_a_code_alone_is_an_answer_where_a_page_may_show_it() -> None:
    assert fault("7f3ka9QW_-", SIGN_IN)
    assert fault("7f3ka9QW_-", SIGN_IN, takes_code=True) == ""
    for text in ("abc", "two words", f"{HERE}/", "state=s2&code=abc"):
        assert fault(text, SIGN_IN, takes_code=True)
