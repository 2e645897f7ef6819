"""The table, for a terminal and for the README."""

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.results import Figures, Outcome, Results

HEADINGS = (
    *("work", "gateway", "Dovecot imapc", "ratio", "goal", ""),
    *("imapc tuned", "own POP3", "raw IMAP", "client alone", "memory", "of imapc"),
)
_OTHERS = ("tuned", "native", "limit", "null")


def cells(outcome: Outcome) -> tuple[str, ...]:
    """A row of the table, as HEADINGS names its columns."""
    figures, ratio = outcome.figures, outcome.ratio()
    return (
        outcome.title,
        _figure(figures.get("gateway"), outcome.unit),
        _figure(figures.get("peer"), outcome.unit),
        f"{ratio:.1f}" if ratio is not None else "",
        f"{outcome.goal:g}",
        "✓" if not outcome.short else "✗",
        *(_figure(figures.get(name), outcome.unit) + _times(outcome, name) for name in _OTHERS),
        *(_memory(figures.get(name)) for name in ("gateway", "peer")),
    )


def as_markdown(results: Results) -> str:
    lines = [HEADINGS, ("---", *["---:"] * (len(HEADINGS) - 1)), *map(cells, results.outcomes)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    words = [_machine(results), *_crowd(results), *_short(results)]
    return table + "\n\n" + "\n".join(words) + "\n"


def show(results: Results, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if number == 0 else "right", overflow="fold")
    for outcome in results.outcomes:
        table.add_row(*cells(outcome), style=None if not outcome.short else "yellow")
    console.print(table)
    for line in (_machine(results), *_crowd(results), *_short(results)):
        console.print(line, soft_wrap=True, highlight=False)


def number(value: float) -> str:
    """Three figures that count, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _figure(figures: Figures | None, unit: str) -> str:
    if figures is None:
        return ""
    return f"{number(figures.median)}{'' if unit.startswith('/') else ' '}{unit}"


def _times(outcome: Outcome, name: str) -> str:
    """Of those with whom it is compared besides the peer."""
    ratio = outcome.ratio(name) if name in ("tuned", "native") else None
    return f" ({ratio:.2g})" if ratio is not None else ""


def _memory(figures: Figures | None) -> str:
    return f"{figures.memory / 1024:.0f} MiB" if figures and figures.memory else ""


def _machine(results: Results) -> str:
    said = results.machine
    names = ("gateway", "peer", "python", "processor", "memory", "system", "date")
    return ", ".join(said[name] for name in names if said.get(name)) + "."


def _crowd(results: Results) -> list[str]:
    return []


def _short(results: Results) -> list[str]:
    short = [line for outcome in results.outcomes for line in outcome.short]
    return ["Short of the goal: " + "; ".join(short) + "." if short else "All goals are reached."]
