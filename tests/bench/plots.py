"""The plots that the README shows."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tests.bench.results import Point, Results

DOTS_PER_INCH = 110
OURS, THEIRS, REACHED, SHORT = "#1f6feb", "#8c959f", "#2da44e", "#d4a72c"
NAMES = {"gateway": ("pop3-gateway", OURS), "peer": ("Dovecot imapc", THEIRS)}
_PLAIN = FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")


def ratios(results: Results, file: Path) -> None:
    """How many times better than Dovecot imapc, each row, beside what is wanted."""
    outcomes = results.outcomes[::-1]
    found = [outcome.ratio() or 0.0 for outcome in outcomes]
    figure = Figure(figsize=(9, 0.6 + 0.42 * len(outcomes)), layout="constrained")
    axes = figure.subplots()
    places = range(len(outcomes))
    axes.barh(places, found, color=[SHORT if outcome.short else REACHED for outcome in outcomes], height=0.62)
    for place, outcome in zip(places, outcomes, strict=True):
        axes.plot([outcome.goal] * 2, [place - 0.4, place + 0.4], color="black", linewidth=2)
    axes.axvline(1, color="black", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, *found) / 3, 2 * max(*found, *(outcome.goal for outcome in outcomes)))
    axes.xaxis.set_major_formatter(_PLAIN)
    titles = [f"{outcome.title}: {ratio:.1f}" for outcome, ratio in zip(outcomes, found, strict=True)]
    axes.set_yticks(places, titles)
    axes.set_xlabel("times better than Dovecot imapc (black mark: the goal; green: reached)")
    _save(figure, file)


def growth(points: list[Point], file: Path) -> None:
    """Time and memory of opening, by the number of messages."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    times, memory = figure.subplots(1, 2)
    for name, (title, colour) in NAMES.items():
        mine = [point for point in points if point.subject == name]
        _line(times, mine, lambda point: point.cold, f"{title}, cold", colour, "-")
        _line(times, mine, lambda point: point.warm, f"{title}, unchanged", colour, "--")
        _line(memory, mine, lambda point: point.memory / 1024, title, colour, "-")
    times.set_yscale("log")
    memory.set_ylim(bottom=0)
    for axes, label in ((times, "seconds to the end of STAT, UIDL and LIST"), (memory, "peak memory, MiB")):
        axes.set_xscale("log")
        axes.set_xlabel("messages")
        axes.set_ylabel(label)
        axes.xaxis.set_major_formatter(_PLAIN)
        axes.yaxis.set_major_formatter(_PLAIN)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=9)
    _save(figure, file)


def _line(
    axes: Axes, points: list[Point], value: Callable[[Point], float], label: str, colour: str, style: str
) -> None:
    values = [value(point) for point in points]
    axes.plot([point.messages for point in points], values, style, marker="o", color=colour, label=label)


def _save(figure: Figure, file: Path) -> None:
    """Without the date, so that the same figures make the same file."""
    figure.savefig(file, dpi=DOTS_PER_INCH, metadata={"Software": None})
