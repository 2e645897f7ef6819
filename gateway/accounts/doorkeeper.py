"""Who may try a password: failed logins are counted where all workers see them, and lead to a lock-out."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from gateway.accounts.wrong_guesses import WrongGuesses
from gateway.errors import BadCredentials, GatewayError, LockedOut
from gateway.guesses import Held, Rules, is_known, remember
from gateway.naming import perhaps_one
from gateway.networks import Network, is_within, site_of
from gateway.ports import Deadlines, Visit
from gateway.sasl import Secret, one_spelling
from gateway.telemetry.events import AccountLockedOut, AddressLockedOut, Event, GuessesNotCounted
from gateway.threads import Threads


class Doorkeeper:
    """Implements ports.Doorkeeper. A store that fails keeps nobody out; each connection is slowed down still."""

    def __init__(
        self,
        rules: Rules,
        trusted: Iterable[Network],
        held: Deadlines,
        places: Deadlines,
        threads: Threads,
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.time,
        whose: Callable[[str], str] = str,
    ) -> None:
        """`held` has the counts, `places` where accounts are known: no number of guesses drives that out. `whose`
        takes from a name what is not the account's: all its folders are guessed at together.
        """
        self._whose = whose
        self.rules = rules
        self.held = held
        self.places = places
        self.threads = threads
        self.emit = emit
        self.clock = clock
        self.wrong = WrongGuesses()
        self.under_way: Counter[str] = Counter()  # by account's count
        self._trusted = tuple(trusted)

    def visit(self, user: str, address: str, secret: Secret | None) -> Visit:
        trusted = self._trusted and is_within(address, self._trusted)
        if trusted or not (self.rules.account.most or self.rules.address.most):
            return Welcome()
        return _Guarded(self, self._whose(user), address, secret)


class Welcome:
    """Implements ports.Visit: of somebody who is not counted."""

    async def admit(self) -> None:
        pass

    def under_way(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def failed(self, error: BadCredentials) -> int:  # noqa: ARG002
        return 0

    async def succeeded(self) -> None:
        pass


class _Guarded:
    """Implements ports.Visit."""

    def __init__(self, door: Doorkeeper, user: str, address: str, secret: Secret | None) -> None:
        self._door = door
        self._user = user
        self._site = site_of(address)
        self._secret = secret
        self._name = one_spelling(user)
        self._place = f"{self._site}\0{self._name}"
        self._known_until = 0.0
        self._take_for(known=False)

    async def admit(self) -> None:
        now = self._door.clock()
        try:
            self._known_until, held = await self._look(now)
        except GatewayError as error:
            self._door.emit(GuessesNotCounted(str(error)))
            return
        rules = self._door.rules
        seconds = rules.seconds_barred(held, now, known=self._known)
        if seconds:
            raise _locked_out(seconds)
        said = self._door.wrong.said_lately(self._spelt, self._secret, now)
        if said is not None:
            raise BadCredentials("the same wrong password again", text=said)
        waiting = self._door.under_way[self._account]
        if waiting and waiting + rules.account.count(held.account, now) >= rules.account.most > 0:
            raise LockedOut(f"{waiting} more logins of this name are under way")

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Guesses that come all at once are not counted too late."""
        waiting, account = self._door.under_way, self._account
        waiting[account] += 1
        try:
            yield
        finally:
            waiting[account] -= 1
            if not waiting[account]:
                del waiting[account]

    async def failed(self, error: BadCredentials) -> int:
        door, now = self._door, self._door.clock()
        fresh = door.wrong.note(self._spelt, self._secret, error.reply, now)
        self._after = Held()

        def change(times: Sequence[float]) -> Sequence[float]:
            self._before = Held(*times)
            self._after = door.rules.fail(self._before, now) if fresh else self._before
            return self._after.address, self._after.account

        try:
            with self.under_way():  # until it is counted
                await door.threads.run(door.held.revise, (self._address, self._account), change)
        except GatewayError as failure:
            door.emit(GuessesNotCounted(str(failure)))
            return 0
        self._tell(now)
        return door.rules.count(self._after, now)

    async def succeeded(self) -> None:
        """The place is known from now on. Nothing is written where it was noted lately."""
        door, now = self._door, self._door.clock()
        if remember(self._known_until, now) == self._known_until:
            return
        try:
            await door.threads.run(door.places.revise, (self._place,), lambda times: (remember(times[0], now),))
        except GatewayError as failure:
            door.emit(GuessesNotCounted(str(failure)))

    async def _look(self, now: float) -> tuple[float, Held]:
        """Until when the place is known, and what is held. Raises GatewayError."""
        (known_until,) = await self._recall(self._door.places, (self._place,))
        self._take_for(known=is_known(known_until, now))
        return known_until, Held(*await self._recall(self._door.held, (self._address, self._account)))

    async def _recall(self, deadlines: Deadlines, keys: Sequence[str]) -> Sequence[float]:
        times = deadlines.at_hand(keys)
        return await self._door.threads.run(deadlines.recall, keys) if times is None else times

    def _take_for(self, *, known: bool) -> None:
        """Choose the account's count, and by what wrong passwords are remembered: ann+list may be another one."""
        self._known = known
        self._spelt = self._place if known else self._name
        self._address = f"address\0{self._site}"
        self._account = f"account\0{self._place}" if known else f"elsewhere\0{perhaps_one(self._name)}"

    def _tell(self, now: float) -> None:
        """Of lock-outs that have just begun."""
        rules, before, after = self._door.rules, self._before, self._after
        if begun := _began(rules.address.seconds_locked, before.address, after.address, now):
            self._door.emit(AddressLockedOut(self._site, begun))
        if begun := _began(rules.account.seconds_locked, before.account, after.account, now):
            where = f"from {self._site}" if self._known else "from wherever it is not known"
            self._door.emit(AccountLockedOut(self._user, self._site, where, begun))


def _began(locked: Callable[[float, float], float], before: float, after: float, now: float) -> int:
    """Its seconds; 0 where none begins now."""
    return 0 if locked(before, now) else round(locked(after, now))


def _locked_out(seconds: float) -> LockedOut:
    """In words that fetchmail does not take for a wrong password or a busy maildrop, see errors."""
    minutes = int(seconds // 60) + 1
    when = "1 minute" if minutes == 1 else f"{minutes} minutes"
    return LockedOut(
        f"locked out for {when} more", text=f"service unavailable: too many failed logins; try again in {when}"
    )
