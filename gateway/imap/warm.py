"""Logged-in connections that sessions gave back, kept for a while for the next login of the same user.

Who is let onto one has proved the same secret: what is kept is its hash, keyed with octets that this process drew
and tells nobody. The secret itself is not kept. Nothing here touches a socket.
"""

import hmac
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.imap.client import Client
from gateway.ports import Account, Endpoint, Granted
from gateway.sasl import Bearer, Credentials

KEY_OCTETS = 32  # of HMAC-SHA-256's key: RFC 2104 section 3 wants no fewer than the hash has


@dataclass(frozen=True, slots=True)
class Limits:
    """How many, and how long in seconds.

    Nothing is said on a connection that rests, no NOOP either: that would hold it against the server's idle limit,
    at a round trip each time, where a connection that was lost costs one login.
    """

    connections: int = 200  # in all; 0: none
    per_account: int = 4  # in all workers; providers count them: Gmail lets an account have 15, Dovecot 10
    idle: float = 720.0  # most clients poll every ten minutes or more often; servers wait for thirty
    age: float = 1800.0  # from the login: what it proved was true then
    worker: int = 0  # which of so many, that know nothing of each other's
    workers: int = 1

    def part_of(self, user: str) -> int:
        """How many this worker keeps of one user; where there are fewer than workers, each user has others."""
        each, rest = divmod(self.per_account, self.workers)
        turn = (zlib.crc32(user.encode()) + self.worker) % self.workers
        return each + (turn < rest)


_Name = tuple[Endpoint, str]  # whose connection it is


@dataclass(slots=True, eq=False)
class _Warm:
    client: Client
    name: _Name
    proof: bytes
    since: float
    selected: bool = True  # the server holds the mailbox open for it, as far as we know
    busy: bool = False  # it lets go of the mailbox just now, and is back in a moment


class WarmConnections:
    """From any thread. Connections that a method returns are no longer in here: the caller closes them."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._key = os.urandom(KEY_OCTETS)
        self._guard = threading.Lock()
        self._closed = False
        self._all: dict[Client, _Warm] = {}  # the one that has rested longest comes first
        self._of: dict[_Name, list[_Warm]] = {}  # likewise

    def __len__(self) -> int:
        return len(self._all)

    def take(self, account: Account) -> Client | None:
        """One that this login's secret opened, the latest."""
        proof, now = self._proof(account), self._clock()
        with self._guard:
            for warm in reversed(self._of.get(_name(account), [])):
                fits = hmac.compare_digest(warm.proof, proof)
                if fits and not warm.busy and not self._is_over(warm, now):
                    self._remove([warm])
                    return warm.client
        return None

    def give(self, account: Account, client: Client) -> list[Client]:
        """Keep it; returns those that go for it, or the connection itself where it cannot stay."""
        warm = _Warm(client, _name(account), self._proof(account), self._clock())
        with self._guard:
            others = self._of.get(warm.name, [])
            most = self._limits.part_of(warm.name[1])
            if not most or not self._may_stay(warm, others):
                return [client]
            leaving = self._remove([other for other in others if other.proof != warm.proof])
            self._all[client] = warm
            self._of.setdefault(warm.name, []).append(warm)
            leaving += self._remove(self._of[warm.name][:-most])
            if len(self._all) > self._limits.connections:
                leaving += self._remove([next(iter(self._all.values()))])
            return leaving

    def accepted(self, account: Account, client: Client) -> list[Client]:
        """The server has just let this login in: what another secret opened proves nothing any more."""
        client.accepted_at = self._clock()
        return self._part(account, same_secret=False)

    def rejected(self, account: Account) -> list[Client]:
        """The server has just called this login's secret wrong. A stranger's guess cools nobody's connection."""
        return self._part(account, same_secret=True)

    def withdraw(self, account: Account) -> list[Client]:
        """All of this user."""
        with self._guard:
            return self._remove(self._of.get(_name(account), []))

    def withdraw_one(self, endpoint: Endpoint) -> list[Client]:
        """Of those at this server the one that has rested longest."""
        with self._guard:
            return self._remove([warm for warm in self._all.values() if warm.name[0] == endpoint][:1])

    def expired(self) -> list[Client]:
        now = self._clock()
        with self._guard:
            return self._remove([warm for warm in self._all.values() if self._is_over(warm, now)])

    def unselectable(self, seconds: float) -> list[Client]:
        """Those that have rested so long with a mailbox open: nobody else gets them before back(). Each once."""
        with self._guard:
            since = self._clock() - seconds
            found = [warm for warm in self._all.values() if warm.selected and warm.since <= since]
            for warm in found:
                warm.selected, warm.busy = False, True
            return [warm.client for warm in found]

    def back(self, client: Client) -> bool:
        """From unselectable(). False: it was to go meanwhile, and is the caller's to close."""
        with self._guard:
            if warm := self._all.get(client):
                warm.busy = False
            return warm is not None

    def discard(self, client: Client) -> None:
        """It is broken."""
        with self._guard:
            if warm := self._all.get(client):
                self._remove([warm])

    def close(self) -> list[Client]:
        """All; from now on none can stay."""
        with self._guard:
            self._closed = True
            return self._remove(self._all.values())

    def _proof(self, account: Account) -> bytes:
        """Of this user at this server: the same secret of another user has another one."""
        name, shown = _name(account), _shown(account.credentials)
        return hmac.digest(self._key, repr((str(name[0]), name[1], *shown)).encode(), "sha256")

    def _part(self, account: Account, *, same_secret: bool) -> list[Client]:
        proof = self._proof(account)
        with self._guard:
            warm = self._of.get(_name(account), [])
            return self._remove([one for one in warm if hmac.compare_digest(one.proof, proof) is same_secret])

    def _may_stay(self, warm: _Warm, others: Iterable[_Warm]) -> bool:
        if self._closed or not self._limits.connections or self._is_over(warm, self._clock()):
            return False
        accepted = warm.client.accepted_at
        return all(other.proof == warm.proof or other.client.accepted_at < accepted for other in others)

    def _is_over(self, warm: _Warm, now: float) -> bool:
        return now - warm.since >= self._limits.idle or now - warm.client.accepted_at >= self._limits.age

    def _remove(self, leaving: Iterable[_Warm]) -> list[Client]:
        """Those that are busy are closed by who is busy with them."""
        leaving = list(leaving)
        for warm in leaving:
            del self._all[warm.client]
            self._of[warm.name].remove(warm)
            if not self._of[warm.name]:
                del self._of[warm.name]
        return [warm.client for warm in leaving if not warm.busy]


def _shown(claim: Credentials | Bearer | Granted) -> tuple[str, ...]:
    """What opens a mailbox. Access tokens come and go; what stays is who was granted them, and when."""
    return (claim.login, repr(claim.since)) if isinstance(claim, Granted) else (claim.secret.reveal(),)


def _name(account: Account) -> _Name:
    return account.endpoint, account.user
