"""Passwords that were found wrong: keyed hashes, in this process's memory only, as is the key."""

import hmac
import secrets
from collections import OrderedDict

from gateway.sasl import Secret

REMEMBERED = 10_000  # each takes some hundred octets
# A device that was left with an old password asks again and again: the mail server is to be bothered this often.
ASK_AGAIN_SECONDS = 60.0


class WrongGuesses:
    """A wrong password that comes again is no new guess, and a forgotten device locks nobody out."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._wrong: OrderedDict[bytes, tuple[float, str]] = OrderedDict()  # when, and what was answered

    def said_lately(self, whose: str, secret: Secret | None, now: float) -> str | None:
        """What was answered to it, where that was so lately that it still holds."""
        if secret is None or not self._wrong:
            return None
        when, reply = self._wrong.get(self._proof(whose, secret), (0.0, ""))
        return reply if 0 <= now - when < ASK_AGAIN_SECONDS else None

    def note(self, whose: str, secret: Secret | None, reply: str, now: float) -> bool:
        """Whether it is a new one; what is not said cannot be compared."""
        if secret is None:
            return True
        proof = self._proof(whose, secret)
        when, _ = self._wrong.pop(proof, (None, ""))
        asked = when is None or not 0 <= now - when < ASK_AGAIN_SECONDS
        self._wrong[proof] = (now if asked or when is None else when, reply)
        while len(self._wrong) > REMEMBERED:
            self._wrong.popitem(last=False)
        return when is None

    def _proof(self, whose: str, secret: Secret) -> bytes:
        return hmac.digest(self._key, f"{whose}\0{secret.reveal()}".encode("utf-8", "surrogatepass"), "sha256")
