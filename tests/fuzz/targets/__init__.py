"""What is fuzzed: a function of octets that raises only on a bug, and the words that its inputs are made of.

Everything that the octets do not say, such as where packets end, `random` does: run(octets, Random(n)) is always
the same. It returns how it ended, in a word or a few.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.fuzz import corpus
from tests.fuzz.targets import ahead, body, fetch, known, ledger, listing, mailbox, pop3, proxy, sasl


@dataclass(frozen=True, slots=True)
class Target:
    run: Callable[[bytes, Random], str]
    tokens: tuple[bytes, ...]
    share: int = 1  # of the time of a longer run
    more: Mapping[str, bytes] = field(default_factory=dict)  # beside what the corpus has


TARGETS: dict[str, Target] = {
    "ahead": Target(ahead.run, ahead.TOKENS, share=2),
    "body": Target(body.run, body.TOKENS, more=body.GALLERY),
    "fetch": Target(fetch.run, fetch.TOKENS, share=4),
    "known": Target(known.run, known.TOKENS, share=4),
    "ledger": Target(ledger.run, ledger.TOKENS),
    "listing": Target(listing.run, listing.TOKENS, share=4),
    "mailbox": Target(mailbox.run, mailbox.TOKENS, share=8),
    "pop3": Target(pop3.run, pop3.TOKENS, share=8),
    "proxy": Target(proxy.run, proxy.TOKENS),
    "sasl": Target(sasl.run, sasl.TOKENS),
}


def entries(target: str) -> dict[str, bytes]:
    """All inputs that are kept."""
    kept = {name: corpus.read(target, name) for name in corpus.names(target)}
    return {**TARGETS[target].more, **kept}


def pool(target: str) -> list[bytes]:
    return list(entries(target).values())


def seed(octets: bytes) -> int:
    """For the longer run, which has one for each input."""
    return zlib.crc32(octets)
