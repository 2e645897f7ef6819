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
class Results:
    machine: dict[str, str]
    outcomes: list[Outcome]
    growth: list[dict[str, float]] = field(default_factory=list)
    crowd: dict[str, float] = field(default_factory=dict)

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
        return cls(**read | {"outcomes": outcomes})
