"""Who a client says it is, and a type for secrets that does not print."""

import hmac
from dataclasses import dataclass
from typing import NoReturn


class Secret:
    """A password or token. Its repr and str hide it, and it is compared in constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself: call this only where it goes out to the one who must have it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a dict would compare with ==, not in constant time

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a secret, as a login offers them."""

    user: str
    secret: Secret
    authorization: str = ""  # whose mailbox, where that is another's (RFC 4616)
