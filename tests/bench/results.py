"""What was measured, as data: written as results.json, and read again for the table and the plots."""

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Figures:
    """One subject's in one row."""

    runs: list[float]
    memory: int | None = None  # kB at most, while it did the row's work once more
    client: float | None = None  # the part of the time for which the client's own processor time would be enough

    @property
    def median(self) -> float:
        return statistics.median(self.runs)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row, with the figures of the subjects by name; "limit" is raw IMAP."""

    key: str
    title: str
    unit: str
    goal: float
    least: bool
    native_goal: float
    figures: dict[str, Figures]

    def ratio(self, to: str = "peer") -> float | None:
        """How many times better the gateway is; None where that one did not take part."""
        if to not in self.figures:
            return None
        ours, theirs = self.figures["gateway"].median, self.figures[to].median
        return theirs / ours if self.least else ours / theirs

    @property
    def short(self) -> list[str]:
        """What falls short, in words."""
        wanted = [
            ("peer", self.goal, "Dovecot imapc"),
            ("native", self.native_goal, "Dovecot's POP3 on the files"),
        ]
        return [
            f"{self.title}: {ratio:.2f} of {goal:g} times {name}"
            for to, goal, name in wanted
            if goal and (ratio := self.ratio(to)) is not None and ratio < goal
        ]


@dataclass(frozen=True, slots=True)
class Point:
    """What one subject took to open one mailbox."""

    subject: str
    messages: int
    cold: float  # seconds to the end of STAT, UIDL and LIST
    warm: float
    memory: int  # kB at most while it opened cold


@dataclass(frozen=True, slots=True)
class Crowd:
    """Idle sessions on one worker, and a newcomer among them."""

    sessions: int
    kilobytes: float  # PSS of the gateway by session
    login_alone: float  # seconds for a poll while nobody else is there: the median
    login_among: float  # the same among them
    login_among_most: float  # and the longest of them
    seconds: float  # until all of them had logged in, one after the other


@dataclass(slots=True)
class Results:
    """All of a run, as far as it is."""

    machine: dict[str, str]
    outcomes: list[Outcome]
    growth: list[Point] = field(default_factory=list)
    crowd: Crowd | None = None

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        read: dict[str, Any] = json.loads(path.read_text())
        outcomes = [
            Outcome(**row | {"figures": {name: Figures(**one) for name, one in row["figures"].items()}})
            for row in read["outcomes"]
        ]
        growth = [Point(**point) for point in read["growth"]]
        crowd = Crowd(**read["crowd"]) if read["crowd"] else None
        return cls(read["machine"], outcomes, growth, crowd)
