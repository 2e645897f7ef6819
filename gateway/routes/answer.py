"""What a look-up knows of a name."""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.naming import Values
from gateway.ports import Peer
from gateway.sasl import Bearer, Credentials, Secret


@dataclass(frozen=True, slots=True)
class Answer:
    """`values` are of host, port, scheme, user, folder and upstream (a URL)."""

    values: Values = field(default_factory=dict)
    secret: Secret | None = None  # for the upstream, instead of the client's own
    others: tuple[Values, ...] = ()  # where else, one after the other, if it cannot be reached there


class LookUp(Protocol):
    async def ask(self, values: Values, claim: Credentials | Bearer, peer: Peer) -> Answer | None:
        """None: nothing is known of this name. `values` are the name's. Raises BadCredentials, LookupFailed, and
        UpstreamUnusable for what only the operator can mend.
        """

    def close(self) -> None: ...
