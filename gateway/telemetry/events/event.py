"""What all events have."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Event:
    """`name` and `level` are the class's; the fields are the line's."""

    name: ClassVar[str]
    level: ClassVar[str] = "info"
