"""DNS SRV records, as RFC 6186 has them for mail: _imaps._tcp and _imap._tcp of a domain.

Of targets with the same priority a name gets always the same one, by a hash of it, and each target its part of
the names by weight. RFC 2782 would draw anew each time; but what is remembered of a maildrop goes by its server.
"""

import asyncio
import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway import naming
from gateway.errors import LookupFailed
from gateway.naming import Values, host_name
from gateway.ports import Peer
from gateway.routes.answer import Answer
from gateway.sasl import Bearer, Credentials

SERVICES = {"imaps": "_imaps._tcp", "imap": "_imap._tcp"}  # where both will do, the first
ANSWER_SECONDS = 5.0  # from all name servers together
TRY_SECONDS = 2.0  # from one of them
REMEMBERED = 10_000  # answers, for as long as their TTL says
MOST_TARGETS = 3  # that a login tries, one after the other: mail programs give up after about 110 s
NO_WEIGHT = 0.01  # RFC 2782: weight 0 has "a very small chance", where others have more


@dataclass(frozen=True, slots=True)
class Target:
    scheme: str
    host: str  # "." says that there is no such service
    port: int
    priority: int
    weight: int


def ranked(targets: Iterable[Target], name: str) -> list[Target]:
    """Those of the least priority first, of both services together; imaps before imap."""
    order = list(SERVICES)

    def rank(target: Target) -> tuple[int, int, float, str, int]:
        score = _score(target, name.casefold())
        return target.priority, order.index(target.scheme), -score, target.host, target.port

    return sorted((target for target in targets if target.host not in ("", ".")), key=rank)


def _score(target: Target, name: str) -> float:
    """Weighted rendezvous hashing: a target that comes or goes moves no name but its own."""
    hashed = hashlib.blake2b(f"{name}\0{target.host}:{target.port}".encode(), digest_size=8)
    drawn = (int.from_bytes(hashed.digest(), "big") + 1) / (2**64 + 2)
    return (target.weight or NO_WEIGHT) / -math.log(drawn)


class Resolver:
    """Asks a name server, or the system's, and remembers the answers. dnspython is imported when it is needed."""

    def __init__(self, server: tuple[str, int] | None) -> None:
        self._server = server
        self._asking: Any = None

    async def targets(self, domain: str) -> list[Target]:
        """Of a domain in A-labels. Raises LookupFailed."""
        found = await asyncio.gather(*(self._of(scheme, domain) for scheme in SERVICES))
        return [target for targets in found for target in targets]

    async def _of(self, scheme: str, domain: str) -> list[Target]:
        from dns.exception import DNSException  # noqa: PLC0415
        from dns.name import NameTooLong  # noqa: PLC0415
        from dns.resolver import NXDOMAIN, NoAnswer  # noqa: PLC0415

        question = f"{SERVICES[scheme]}.{domain}."
        try:
            answer = await self._ready().resolve(question, "SRV")
        except (NXDOMAIN, NoAnswer, NameTooLong):
            return []
        except (DNSException, OSError) as error:
            raise LookupFailed(f"{question} SRV: {error}") from error
        return [
            Target(scheme, row.target.to_text(omit_final_dot=True), row.port, row.priority, row.weight)
            for row in answer
        ]

    def _ready(self) -> Any:
        if self._asking is None:
            from dns.asyncresolver import Resolver as Asking  # noqa: PLC0415
            from dns.resolver import LRUCache  # noqa: PLC0415

            asking = Asking(configure=self._server is None)
            if self._server is not None:
                host, asking.port = self._server
                asking.nameservers = [host]
            asking.cache = LRUCache(REMEMBERED)
            asking.lifetime, asking.timeout = ANSWER_SECONDS, TRY_SECONDS
            self._asking = asking
        return self._asking


def _values(target: Target) -> Values:
    return {"host": target.host, "port": str(target.port), "scheme": target.scheme}


class SrvLookUp:
    """Implements LookUp."""

    def __init__(self, srv: naming.Srv, resolver: Resolver, place: str) -> None:
        self._srv = srv
        self._resolver = resolver
        self._place = place

    async def ask(self, values: Values, claim: Credentials | Bearer, peer: Peer) -> Answer | None:  # noqa: ARG002
        domain = host_name(self._srv.domain.fill(values))
        if domain is None:  # so it has no records
            return None
        try:
            found = ranked(await self._resolver.targets(domain), values["name"])
        except LookupFailed as error:
            raise LookupFailed(f"{self._place}.srv: {error}") from error
        if not found:
            return None
        first, *others = map(_values, found[:MOST_TARGETS])
        return Answer(first, others=tuple(others))

    def close(self) -> None:
        pass
