"""The tables, for a terminal and for the README."""

from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.results import Figures, Outcome, Point, Results

GOALS = ("work", "gateway", "Dovecot imapc", "ratio", "goal", "", "raw IMAP", "memory", "imapc's")
OTHERS = (
    "work",
    "imapc tuned",
    "ratio to tuned",
    "Dovecot's own POP3",
    "ratio to that",
    "client alone",
    "client's share",
)
GROWTH = ("messages", "cold", "imapc cold", "unchanged", "imapc unchanged", "memory", "imapc's")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: lines of as many cells as there are headings."""

    headings: tuple[str, ...]
    lines: list[tuple[str, ...]]
    short: frozenset[int] = frozenset()  # lines that fall short


def sheets(results: Results) -> list[Sheet]:
    """All that there are figures for."""
    outcomes = results.outcomes
    short = frozenset(number for number, outcome in enumerate(outcomes) if outcome.short)
    made = [
        Sheet(GOALS, [_goals(outcome) for outcome in outcomes], short),
        Sheet(OTHERS, [line for line in map(_others, outcomes) if any(line[1:])]),
        Sheet(GROWTH, _growth(results)),
    ]
    return [sheet for sheet in made if sheet.lines]


def words(results: Results) -> list[str]:
    """What is no table."""
    short = [line for outcome in results.outcomes for line in outcome.short]
    said = ["Short of the goal: " + "; ".join(short) + "."] if short else []
    if results.outcomes and not short:
        said = ["All goals are reached."]
    if (crowd := results.crowd) is not None:
        said.append(
            f"{crowd.sessions:,} idle sessions on one worker: {number(crowd.kilobytes)} kB each; a poll takes "
            f"{number(crowd.login_among * 1000)} ms among them (at most {number(crowd.login_among_most * 1000)}), "
            f"{number(crowd.login_alone * 1000)} ms alone."
        )
    rounds = max((len(outcome.figures["gateway"].runs) for outcome in results.outcomes), default=0)
    names = ("gateway", "peer", "python", "processor", "memory", "system", "date")
    machine = ", ".join(results.machine[name] for name in names if results.machine.get(name))
    medians = f"Medians of {rounds} rounds, measured" if rounds > 1 else "Measured"
    return [*said, f"{medians} with {machine}; load {results.machine.get('load', 'unknown')}."]


def as_markdown(results: Results) -> str:
    parts = []
    for sheet in sheets(results):
        rule = ("---", *["---:"] * (len(sheet.headings) - 1))
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in (sheet.headings, rule, *sheet.lines)))
    return "\n\n".join([*parts, *words(results)]) + "\n"


def show(results: Results, console: Console) -> None:
    for sheet in sheets(results):
        table = Table(box=box.SIMPLE_HEAD)
        for place, heading in enumerate(sheet.headings):
            table.add_column(heading, justify="right" if place else "left")
        for place, cells in enumerate(sheet.lines):
            table.add_row(*cells, style="yellow" if place in sheet.short else None)
        console.print(table)
    for line in words(results):
        console.print(line, highlight=False)


def line(outcome: Outcome) -> str:
    """A row that was just measured, in short."""
    _, ours, theirs, ratio, goal, verdict, *_ = _goals(outcome)
    return f"{outcome.key}: {ours}, Dovecot imapc {theirs}: {ratio} of {goal}, {verdict}"


def number(value: float) -> str:
    """Three figures that count, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _goals(outcome: Outcome) -> tuple[str, ...]:
    figures, ratio = outcome.figures, outcome.ratio()
    return (
        outcome.title,
        *(_figure(figures.get(name), outcome.unit) for name in ("gateway", "peer")),
        number(ratio) if ratio is not None else "",
        number(outcome.goal),
        "short" if outcome.short else "reached",
        _figure(figures.get("limit"), outcome.unit),
        *(_memory(figures.get(name)) for name in ("gateway", "peer")),
    )


def _others(outcome: Outcome) -> tuple[str, ...]:
    compared = []
    for name in ("tuned", "native"):
        ratio = outcome.ratio(name)
        compared += [_figure(outcome.figures.get(name), outcome.unit), "" if ratio is None else f"{ratio:.2f}"]
    if outcome.native_goal and compared[-1]:
        compared[-1] += f" of {outcome.native_goal:g}"
    part = outcome.figures["gateway"].client
    return (
        outcome.title,
        *compared,
        _figure(outcome.figures.get("null"), outcome.unit),
        f"{part:.0%}" if part is not None and any(compared) else "",
    )


def _growth(results: Results) -> list[tuple[str, ...]]:
    found = {(point.subject, point.messages): _point(point) for point in results.growth}
    lines = []
    for size in sorted({point.messages for point in results.growth}):
        ours, theirs = (found.get((name, size), ("", "", "")) for name in ("gateway", "peer"))
        lines.append((f"{size:,}", *(cell for pair in zip(ours, theirs, strict=True) for cell in pair)))
    return lines


def _point(point: Point) -> tuple[str, str, str]:
    return f"{number(point.cold)} s", f"{number(point.warm)} s", f"{point.memory / 1024:.0f} MiB"


def _figure(figures: Figures | None, unit: str) -> str:
    if figures is None:
        return ""
    return f"{number(figures.median)}{'' if unit.startswith('/') else ' '}{unit}"


def _memory(figures: Figures | None) -> str:
    return f"{figures.memory / 1024:.0f} MiB" if figures and figures.memory else ""
