"""Forms that only this page can have sent: a number in a cookie, and the same sealed in the form."""

import hmac
import secrets

from gateway.ports import Seal
from gateway.web.headers import cookie_name
from gateway.web.message import BadRequest, Cookie, Request

FIELD = "form"
COOKIE = "visit"
FORM_SECONDS = 86_400.0  # a page may be open for so long before its form is sent
NONCE_OCTETS = 16
_OURS = ("", "same-origin")  # of Sec-Fetch-Site, where a browser says it


class StaleForm(BadRequest):
    """It came from elsewhere, or from a page that was open for too long."""

    def __init__(self) -> None:
        super().__init__(403, "this form did not come from here, or was open for too long")


class Forms:
    def __init__(self, seal: Seal, *, is_secure: bool) -> None:
        self._seal = seal
        self._cookie = cookie_name(COOKIE, is_secure=is_secure)

    def prepare(self, request: Request) -> tuple[str, tuple[Cookie, ...]]:
        """What a form has to hold, and the cookie that goes with it. Raises StateError."""
        nonce = request.cookies.get(self._cookie, "")
        fresh = () if nonce else (Cookie(COOKIE, nonce := secrets.token_urlsafe(NONCE_OCTETS)),)
        return self._seal.seal(FIELD, nonce), fresh

    def demand_ours(self, request: Request) -> None:
        """Raises StaleForm, StateError."""
        nonce = request.cookies.get(self._cookie, "")
        sealed = self._seal.unseal(FIELD, request.form.get(FIELD, ""), FORM_SECONDS)
        same = sealed is not None and hmac.compare_digest(sealed.encode(), nonce.encode())
        if not nonce or not same or request.headers.get("sec-fetch-site", "") not in _OURS:
            raise StaleForm
