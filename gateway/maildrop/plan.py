"""What QUIT asks of the mailbox: computed here, applied upstream by others."""

from dataclasses import dataclass
from enum import Enum


class OnDelete(Enum):
    """What becomes of a message that the client deleted."""

    EXPUNGE = "expunge"
    FLAG = "flag"  # \\Deleted is set and left for somebody else to expunge


class OnRetrieve(Enum):
    """What becomes of a message that the client retrieved whole and kept."""

    SEEN = "seen"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a plan is carried out."""

    on_delete: OnDelete = OnDelete.EXPUNGE
    on_retrieve: OnRetrieve = OnRetrieve.SEEN


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """UIDs, ascending, valid only under `uidvalidity`."""

    uidvalidity: int
    delete: tuple[int, ...] = ()
    retrieved: tuple[int, ...] = ()  # without the deleted ones

    def __bool__(self) -> bool:
        return bool(self.delete or self.retrieved)
