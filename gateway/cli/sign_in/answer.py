"""The answer of an authorization server (RFC 6749 section 4.1.2), as a browser brings it or a person pastes it."""

import hmac
import re
from urllib.parse import parse_qs, urlsplit

from gateway.oauth import SignIn

ANSWER_OCTETS = 32_768  # codes are some kilobytes at most, and 32 KiB are what a command line may still have


_CODE = re.compile(r"[^\s?&=#:/]{4,}")


def fault(text: str, sign_in: SignIn, *, takes_code: bool = False) -> str:
    """Why this is not the answer to our question; "": it is, whether yes or no.

    `takes_code`: a code alone is one, too. Some providers end at a page of their own that shows it.
    """
    if takes_code and _CODE.fullmatch(text):
        return ""
    query = parse_qs(urlsplit(text).query if "?" in text else text, keep_blank_values=True)
    states = query.get("state", [])
    if not states or not ({"code", "error"} & query.keys()):
        return (
            f"that has no code in it; it begins with {sign_in.redirect_uri}, and goes on with ?, code= and state="
        )
    if len(states) > 1 or not hmac.compare_digest(states[0].encode(), sign_in.state.encode()):
        return "that is the answer to another sign-in; use the address that was shown last"
    return ""


def is_yes(text: str) -> bool:
    return "code" in parse_qs(urlsplit(text).query)
