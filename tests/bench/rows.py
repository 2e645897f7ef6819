"""The rows of the table: which work, on which mailbox, by whom, and what is wanted of the gateway."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from tests.bench import limit, work
from tests.bench.client import Address
from tests.bench.mail import LARGE_OCTETS, NOTE_OCTETS, Mailbox
from tests.bench.work import Work

FAR_SECONDS = 0.020  # each way
Way = Enum("Way", "CLEAR TLS FAR")  # to the upstream; with TLS the clients speak it, too

# The same over IMAP itself.
Limit = Callable[[Address, Mailbox, int], float]


@dataclass(frozen=True, slots=True)
class Kind:
    """What rows have in common that measure the same work."""

    work: Work
    limit: Limit | None
    unit: str
    least: bool = False  # less is better
    cold: bool = False  # before each run the mailbox is forgotten; the gateway starts anew
    reads: bool = False  # messages, so that what was read can be compared


POLL = Kind(work.poll, limit.poll, "/s")
RETRIEVE = Kind(work.retrieve, limit.retrieve, "/s", reads=True)
TRANSFER = Kind(work.transfer, limit.transfer, "MB/s", reads=True)
OPEN_COLD = Kind(work.open_listed, limit.open_cold, "s", least=True, cold=True)
OPEN_WARM = Kind(work.open_listed, limit.open_warm, "s", least=True)
# Cold, for a process that had many sessions once has room for them again.
IDLE = Kind(work.idle, None, "kB", least=True, cold=True)


@dataclass(frozen=True, slots=True)
class Row:
    key: str  # for --rows
    title: str
    kind: Kind
    goal: float  # how many times better than the peer
    mailbox: Mailbox
    amount: int  # of polls, messages or sessions
    way: Way = Way.CLEAR
    others: Sequence[str] = ()  # who takes part besides the gateway and the peer
    native_goal: float = 0.0  # how many times better than Dovecot's own POP3 on the files

    @property
    def subjects(self) -> tuple[str, ...]:
        return ("gateway", "peer", *self.others)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of it: `part` of the polls and sessions, and mailboxes no larger than this."""

    rounds: int
    seconds: float = 150.0  # in which a subject begins another turn at a row; it always has one
    part: float = 1.0
    most_messages: int = 1_000_000
    large_octets: int = LARGE_OCTETS
    large_count: int = 20


FULL = Scale(rounds=5)
QUICK = Scale(rounds=3, seconds=20.0, part=0.4, large_count=6)
TINY = Scale(rounds=1, part=0.02, most_messages=20, large_octets=100_000, large_count=3)


def table(scale: Scale) -> tuple[Row, ...]:
    def mailbox(name: str, count: int) -> Mailbox:
        return Mailbox(name, min(count, scale.most_messages))

    def times(count: int) -> int:
        return max(1, round(count * scale.part))

    ten, thousand, small = mailbox("ten", 10), mailbox("thousand", 1_000), mailbox("small", 2_000)
    large = Mailbox("large", scale.large_count, (scale.large_octets, scale.large_octets))
    many = Mailbox("many", min(100_000, scale.most_messages), (NOTE_OCTETS, NOTE_OCTETS))
    hundred, all_small, all_large = mailbox("hundred", 100), small.count, large.count
    tls, far, tuned = Way.TLS, Way.FAR, ("tuned",)
    return (
        Row("poll-10", "poll, 10 messages", POLL, 5, ten, times(200), others=("tuned", "null")),
        Row("poll-1000", "poll, 1,000 messages", POLL, 8, thousand, times(100), others=("tuned", "null")),
        Row("retr-small", "RETR small", RETRIEVE, 3, small, all_small, Way.CLEAR, ("native", "null"), 1.2),
        Row("retr-large", "RETR 25 MB", TRANSFER, 2, large, all_large, others=("native", "null")),
        Row("open-cold", f"open {many.count:,}, cold", OPEN_COLD, 20, many, 1),
        Row("open-warm", f"open {many.count:,}, unchanged", OPEN_WARM, 2, many, 1, others=("native",)),
        Row("idle", "an idle session", IDLE, 5, hundred, times(400)),
        Row("poll-tls", "poll, TLS both", POLL, 5, ten, times(100), tls, tuned),
        Row("retr-small-tls", "RETR small, TLS both", RETRIEVE, 2, small, all_small, tls, ("native",)),
        Row("retr-large-tls", "RETR 25 MB, TLS both", TRANSFER, 1.5, large, all_large, tls, ("native",)),
        Row("poll-far", "poll, 40 ms away", POLL, 4, ten, times(20), far, tuned),
        Row("retr-far", "RETR small, 40 ms away", RETRIEVE, 50, small, all_small, far),
    )
