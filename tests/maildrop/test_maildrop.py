"""Numbers, marks and plans: one session's view of its snapshot, beside a model that is simple and slow."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.errors import Refused
from gateway.maildrop import CommitPlan, Maildrop, Snapshot, unique_id

VALIDITY = 1500000000


@dataclass
class Message:
    """What the model knows of one message."""

    uid: int
    size: int
    deleted: bool = False
    retrieved: bool = False


class MaildropAgainstModel(RuleBasedStateMachine):
    """Any sequence of commands, legal or not, leads both to the same answers."""

    @initialize(
        rows=st.dictionaries(st.integers(1, 0xFFFFFFFF), st.integers(0, 2**40), max_size=8),
        read_only=st.booleans(),
    )
    def begin(self, rows: dict[int, int], read_only: bool) -> None:
        self.drop = Maildrop(Snapshot.of(VALIDITY, rows.items(), read_only=read_only))
        self.model = [Message(uid, size) for uid, size in sorted(rows.items())]
        self.read_only = read_only
        self.last = 0

    def message(self, number: int) -> Message | None:
        """Message `number` where a command may name it."""
        if not 1 <= number <= len(self.model) or self.model[number - 1].deleted:
            return None
        return self.model[number - 1]

    NUMBERS = st.one_of(st.integers(1, 8), st.integers(-1, 10), st.just(10**18))

    @rule(number=NUMBERS)
    def look(self, number: int) -> None:
        message = self.message(number)
        asks: list[Callable[[int], object]] = [self.drop.size, self.drop.uid, self.drop.unique_id]
        if message is None:
            for ask in asks:
                with pytest.raises(Refused):
                    ask(number)
        else:
            assert [ask(number) for ask in asks] == [message.size, message.uid, unique_id(VALIDITY, message.uid)]

    @rule(number=NUMBERS)
    def delete(self, number: int) -> None:
        message = self.message(number)
        if message is None or self.read_only:
            with pytest.raises(Refused):
                self.drop.delete(number)
        else:
            self.drop.delete(number)
            message.deleted = True
            self.last = max(self.last, number)

    @rule(number=NUMBERS)
    def retrieve(self, number: int) -> None:
        message = self.message(number)
        if message is None:
            with pytest.raises(Refused):
                self.drop.find(number)
        else:
            assert self.drop.find(number) == (message.uid, message.size)
            self.drop.retrieve(number)
            message.retrieved = True
            self.last = max(self.last, number)

    @rule()
    def reset(self) -> None:
        self.drop.reset()
        self.last = 0
        for message in self.model:
            message.deleted = False

    @invariant()
    def stat_list_and_uidl_leave_out_what_is_deleted(self) -> None:
        left = [(number, message) for number, message in enumerate(self.model, 1) if not message.deleted]
        assert list(zip(*self.drop.left(), strict=True)) == [(n, message.uid, message.size) for n, message in left]
        assert (self.drop.count, self.drop.octets) == (len(left), sum(message.size for _, message in left))
        assert self.drop.deleted == len(self.model) - len(left)
        assert self.drop.last == self.last

    @invariant()
    def the_plan_is_what_was_deleted_and_what_was_retrieved_and_kept(self) -> None:
        plan = self.drop.plan()
        assert plan == CommitPlan(
            VALIDITY,
            tuple(message.uid for message in self.model if message.deleted),
            tuple(message.uid for message in self.model if message.retrieved and not message.deleted),
        )
        assert bool(plan) is any(message.deleted or message.retrieved for message in self.model)


TestMaildropAgainstModel = MaildropAgainstModel.TestCase
TestMaildropAgainstModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def drop_of(*sizes: int, read_only: bool = False) -> Maildrop:
    snapshot = Snapshot(VALIDITY, array("I", range(11, 11 + len(sizes))), array("Q", sizes), read_only)
    return Maildrop(snapshot)


def test_a_number_never_shifts() -> None:
    drop = drop_of(10, 20, 30)
    drop.delete(2)
    assert [drop.size(1), drop.size(3)] == [10, 30]
    assert list(zip(*drop.left(), strict=True)) == [(1, 11, 10), (3, 13, 30)]


@pytest.mark.parametrize(
    ("sizes", "number", "text"),
    [
        ((10, 20), 0, "no message 0; this maildrop has 1 to 2"),
        ((10, 20), 3, "no message 3; this maildrop has 1 to 2"),
        ((), 1, "no message 1; this maildrop is empty"),
    ],
)
def test_a_number_that_is_not_there_is_told_which_are(sizes: tuple[int, ...], number: int, text: str) -> None:
    with pytest.raises(Refused) as caught:
        drop_of(*sizes).size(number)
    assert caught.value.reply == text


def test_a_deleted_message_is_there_no_more_until_rset() -> None:
    drop = drop_of(10)
    drop.delete(1)
    with pytest.raises(Refused, match="message 1 is marked as deleted"):
        drop.delete(1)
    drop.reset()
    assert drop.size(1) == 10


def test_a_read_only_mailbox_says_why_nothing_is_deleted() -> None:
    drop = drop_of(10, read_only=True)
    with pytest.raises(Refused, match="read-only"):
        drop.delete(1)
    assert drop.plan().delete == ()


def test_rset_does_not_forget_what_was_retrieved() -> None:
    drop = drop_of(10)
    drop.retrieve(1)
    drop.reset()
    assert drop.plan().retrieved == (11,)


def test_a_session_that_did_nothing_has_nothing_to_commit() -> None:
    assert not drop_of(10).plan()
