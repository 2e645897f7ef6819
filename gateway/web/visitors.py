"""Where a browser is, as reverse proxies tell it."""

from collections.abc import Sequence

from gateway.networks import Network, is_within
from gateway.web.message import Request

Networks = Sequence[Network]
HOPS = 10  # proxies behind one another, at most


def client_of(request: Request, proxies: Networks) -> str:
    """The last address in X-Forwarded-For that is no proxy of ours: what stands before it anybody can write."""
    address = request.address
    said = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",") if part.strip()]
    for before in reversed(said[-HOPS:]):
        if not is_within(address, proxies):
            break
        address = before
    return address
