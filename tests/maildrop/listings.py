"""How a server answers what is asked of a mailbox, and what a listing of it holds."""

from collections.abc import Mapping

from gateway.maildrop import Listing
from gateway.maildrop.listing import END, Answer, Question, Ranges


def date_of(size: int) -> bytes:
    """What there is is known by its size; so the date is as good."""
    return b"date of %d" % size


def answer(asked: Question, mailbox: Mapping[int, int]) -> Answer:
    """As an IMAP server gives it: `*` is the last message, and a range may be told from either end."""
    last = max(mailbox, default=0)

    def among(ranges: Ranges) -> dict[int, int]:
        bounds = [sorted((low, last if high == END else high)) for low, high in ranges]
        return {uid: size for uid, size in mailbox.items() if any(low <= uid <= high for low, high in bounds)}

    return Answer({uid: date_of(size) for uid, size in among(asked.there).items()}, among(asked.sizes))


def content(listing: Listing) -> dict[int, int]:
    return dict(zip(listing.uids, listing.sizes, strict=True))
