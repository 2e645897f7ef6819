"""What QUIT asks of the mailbox: computed here, applied upstream by others."""

from dataclasses import dataclass
from enum import Enum


class OnDelete(Enum):
    """What becomes of a message that the client deleted."""

    AUTO = "auto"  # trash where expunging does not delete (Gmail), else expunge
    EXPUNGE = "expunge"
    TRASH = "trash"
    ARCHIVE = "archive"
    FLAG = "flag"  # \\Deleted is set and left for somebody else to expunge
    KEEP = "keep"  # nothing; the client does not see it again


@dataclass(frozen=True, slots=True)
class Policy:
    """How a plan is carried out."""

    on_delete: OnDelete = OnDelete.AUTO
    retrieved_flag: str | None = "\\Seen"  # set on what the client retrieved whole and kept
    trash: str | None = None  # the folder's name, where the upstream does not tell it (RFC 6154)
    archive: str | None = None
    max_deletes: int = 0  # of one session; more are refused, all of them. 0: no limit


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """UIDs, ascending, valid only under `uidvalidity`."""

    uidvalidity: int
    delete: tuple[int, ...] = ()
    retrieved: tuple[int, ...] = ()  # without the deleted ones
    copied: frozenset[int] = frozenset()  # of the deleted ones: an earlier attempt has put them where they go

    def __bool__(self) -> bool:
        return bool(self.delete or self.retrieved)

    @property
    def description(self) -> str:
        """For people, once it is done."""
        return f"{messages(len(self.delete))} deleted" if self.delete else "bye"


def messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
