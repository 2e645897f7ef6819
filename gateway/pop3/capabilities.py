"""CAPA as a table: what is announced, and when (RFC 2449 section 6, RFC 2595, RFC 3206, RFC 5034)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """What this connection can have now."""

    authorized: bool = False
    tls_available: bool = False  # STLS would work now
    user_pass: bool = True
    mechanisms: tuple[str, ...] = ()
    login_delay: int = 0  # seconds; 0: none


def _always(line: str) -> Callable[[Offer], str]:
    return lambda _: line


_ROWS: tuple[Callable[[Offer], str], ...] = (
    _always("TOP"),
    _always("UIDL"),
    _always("RESP-CODES"),
    _always("AUTH-RESP-CODE"),
    _always("PIPELINING"),
    # Nothing is ever deleted but by DELE and QUIT.
    _always("EXPIRE NEVER"),
    lambda offer: f"LOGIN-DELAY {offer.login_delay}" if offer.login_delay else "",
    lambda offer: "USER" if offer.user_pass else "",
    lambda offer: f"SASL {' '.join(offer.mechanisms)}" if offer.mechanisms else "",
    lambda offer: "STLS" if offer.tls_available and not offer.authorized else "",
    _always("IMPLEMENTATION pop3-gateway"),
)


def capabilities(offer: Offer) -> Iterator[str]:
    """The lines of the reply to CAPA."""
    return (line for row in _ROWS if (line := row(offer)))
