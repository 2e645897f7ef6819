"""Whatever happens to a mailbox between two looks, what comes of the remembered listing is the mailbox."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.maildrop import Listing, Selected, Snapshot
from gateway.maildrop import listing as module
from gateway.maildrop.listing import EVERYTHING, Answer, Exact, Outdated, Void, compare, missing, question, settle
from tests.maildrop.listings import answer, content


class Mailbox:
    """A server's mailbox. Every message has a size of its own, so that another message shows."""

    def __init__(self, window: int) -> None:
        self.messages: dict[int, int] = {}
        self.uidnext = 1
        self.uidvalidity = 1
        self.tells_uidnext = True
        self._window = window  # it shows so many, the newest: Yahoo does
        self._sizes: Iterator[int] = count(10)
        self._backup = (dict(self.messages), self.uidnext)

    def deliver(self, many: int) -> None:
        for _ in range(many):
            self.messages[self.uidnext] = next(self._sizes)
            self.uidnext += 1

    def expunge(self, places: list[int]) -> list[int]:
        """The messages at these places, modulo how many there are."""
        shown = list(self.shown)
        chosen = sorted({shown[place % len(shown)] for place in places}) if shown else []
        for uid in chosen:
            del self.messages[uid]
        return chosen

    def skip(self, many: int) -> None:
        """Delivered and expunged in between."""
        self.uidnext += many

    def back_up(self) -> None:
        self._backup = (dict(self.messages), self.uidnext)

    def restore(self) -> None:
        """What came later is lost, and its UIDs are given a second time, under the same UIDVALIDITY."""
        messages, self.uidnext = self._backup
        self.messages = {uid: size for uid, size in messages.items() if self.messages.get(uid) == size}

    def restart(self) -> None:
        """UIDs from 1 on, under the same UIDVALIDITY."""
        self.messages = dict(enumerate(self.messages.values(), 1))
        self.uidnext = len(self.messages) + 1

    def begin_anew(self) -> None:
        self.restart()
        self.uidvalidity += 1

    @property
    def shown(self) -> dict[int, int]:
        return dict(list(self.messages.items())[-self._window :])


PLACES = st.lists(st.integers(0, 60), min_size=1, max_size=6)
ACTS = st.one_of(
    st.tuples(st.just("deliver"), st.integers(1, 12)),
    st.tuples(st.just("deliver"), st.integers(1, 12)),
    st.tuples(st.just("expunge"), PLACES),
    st.tuples(st.just("expunge"), PLACES),
    st.tuples(st.just("delete"), PLACES),
    st.tuples(st.just("delete"), PLACES),
    st.tuples(st.just("skip"), st.integers(1, 5)),
    st.tuples(st.sampled_from(["back_up", "restore", "restart", "begin_anew", "forget uidnext"]), st.none()),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.lists(ACTS, max_size=5), min_size=1, max_size=8),
    st.sampled_from([5, 10, 1000]),
    st.integers(1, 30),
)
def test_whatever_happens_between_two_looks_the_outcome_is_the_mailbox(
    sessions: list[list[tuple[str, object]]], window: int, begin_with: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEW", 3)  # so that a small mailbox does for a large one
        patch.setattr(module, "NEXT", 6)
        mailbox = Mailbox(window)
        mailbox.deliver(begin_with)
        remembered: Listing | None = None
        for acts in sessions:
            for act, argument in acts:
                if act == "delete":
                    deleted = mailbox.expunge(argument)  # type: ignore[arg-type]
                    remembered = remembered.less(deleted) if remembered else None
                elif act == "forget uidnext":
                    mailbox.tells_uidnext = not mailbox.tells_uidnext
                else:
                    getattr(mailbox, act)(*([] if argument is None else [argument]))
            seen, date = look(mailbox, remembered)
            assert dict(zip(seen.uids, seen.sizes, strict=True)) == mailbox.shown
            found = Listing.of(seen, 0.0, date)
            if found is None or found.is_news_to(remembered):
                remembered = found


def look(mailbox: Mailbox, remembered: Listing | None) -> tuple[Snapshot, bytes]:
    """As the imap room does it, without a server. The date is the last one's."""
    shown = mailbox.shown
    uidnext = mailbox.uidnext if mailbox.tells_uidnext else 0
    now = Selected(mailbox.uidvalidity, len(shown), uidnext=uidnext)
    verdict: Exact | Outdated | Void = Void("nothing is remembered")
    asked = question(remembered)
    if remembered is not None and asked != EVERYTHING:
        told = answer(asked, shown)
        verdict = compare(remembered, now, told)
        if isinstance(verdict, Outdated):
            wanted = missing(remembered, told, list(shown))
            told = Answer(told.dates, {**told.sizes, **{uid: shown[uid] for uid in wanted}})
            verdict = settle(remembered, told, list(shown))
    found, date = (content(verdict.listing), verdict.listing.date) if isinstance(verdict, Exact) else (shown, b"")
    return replace(Snapshot.of(now.uidvalidity, found.items()), uidnext=now.uidnext), date
