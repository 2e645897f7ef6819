"""`python -m tests.bench`: see `--help`, and README.md for what it measures."""

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from tests.bench import crowd, growth, machine, profile, report
from tests.bench.results import Results
from tests.bench.rows import FULL, QUICK, Row, Scale, table
from tests.bench.run import Tell, bench, measure

SHOWN = Path(__file__).parent / "results"  # what the README shows
PASSING = Path(__file__).parents[2] / ".cache" / "bench"  # of runs in part
UNFINISHED = PASSING / "unfinished.json"
EXTRAS = ("crowd", "growth")
QUIET_LOAD = 0.7


@click.command()
@click.option("--rows", "names", default="", help="Some only: poll-10,retr-small; also crowd and growth.")
@click.option("--rounds", type=click.IntRange(1), help="How often each takes its turn.")
@click.option("--quick", is_flag=True, help="Three rounds, fewer polls and large messages; no crowd, no growth.")
@click.option("--profile", "profiled", is_flag=True, help="Tell where the gateway's time goes in these rows.")
@click.option("--no-plots", is_flag=True, help="Do without matplotlib.")
@click.option(
    "--nice", type=click.IntRange(-20, 19), default=0, help="Below 0: before what else runs here; root only."
)
@click.option("--resume", is_flag=True, help="Go on where a run of the same gateway was cut off.")
@click.option("--output", type=click.Path(path_type=Path), help="Where to leave the figures of a part.")
@click.option(
    "--layout",
    type=click.Choice(["maildir", "sdbox", "mdbox"]),
    default="maildir",
    show_default=True,
    help="How the upstream stores its mail.",
)
def main(
    names: str,
    rounds: int | None,
    quick: bool,
    profiled: bool,
    no_plots: bool,
    nice: int,
    resume: bool,
    output: Path | None,
    layout: str,
) -> None:
    """The gateway beside Dovecot's POP3 over imapc, and beside raw IMAP.

    All of it makes tests/bench/results; a part of it leaves its figures in .cache/bench.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers end with us
    scale = QUICK if quick else FULL
    rows, extras = _chosen(names, table(scale), () if quick else EXTRAS)
    console = Console(width=None if sys.stdout.isatty() else 120)
    os.nice(nice)  # what is started from here on has it, too
    if os.getloadavg()[0] > QUIET_LOAD:
        click.echo(f"others are at work here: the load is {os.getloadavg()[0]:.1f}", err=True)
    if profiled:
        _profile(rows, layout, console)
        return
    scale = replace(scale, rounds=rounds or scale.rounds)
    results = _begun(f"{scale}, {layout}", resume)
    _measure(results, rows, extras, scale, layout)
    whole = not (names or quick or rounds) and layout == "maildir"
    folder = output or (SHOWN if whole else PASSING)
    _write(results, folder, plots=not no_plots)
    UNFINISHED.unlink()
    report.show(results, console)
    click.echo(f"in {folder}", err=True)


def _chosen(names: str, rows: Sequence[Row], extras: Sequence[str]) -> tuple[list[Row], list[str]]:
    known = {row.key: row for row in rows}
    wanted = [name.strip() for name in names.split(",") if name.strip()] or [*known, *extras]
    unknown = sorted(set(wanted) - {*known, *EXTRAS})
    if unknown:
        there = ", ".join([*known, *EXTRAS])
        raise click.BadParameter(f"no row {', '.join(unknown)}; there are {there}", param_hint="--rows")
    return [known[name] for name in wanted if name in known], [name for name in wanted if name in EXTRAS]


def _begun(how: str, resume: bool) -> Results:
    """No figures yet; or those of a run that was cut off, of the same gateway, done in the same way, here."""
    fresh = Results(machine.describe() | {"how": how}, [])
    if not resume or not UNFINISHED.exists():
        return fresh
    begun = Results.read(UNFINISHED)
    same = all(
        begun.machine.get(name) == value for name, value in fresh.machine.items() if name not in ("load", "date")
    )
    return begun if same else fresh


def _measure(results: Results, rows: list[Row], extras: list[str], scale: Scale, layout: str) -> None:
    """Adds what the results have not yet, and keeps them in UNFINISHED on the way."""
    there = {outcome.key for outcome in results.outcomes}
    left = [row for row in rows if row.key not in there]
    with _progress() as progress, bench(layout) as made:
        task = progress.add_task("", total=len(left) + len(extras))
        tell = _telling(progress, task)
        for row in left:
            outcome = measure(made, row, scale, tell)
            results.outcomes.append(outcome)
            results.write(UNFINISHED)
            progress.console.print(report.line(outcome), highlight=False)
            progress.advance(task)
        if "crowd" in extras and results.crowd is None:
            results.crowd = crowd.measure(made, tell)
            results.write(UNFINISHED)
        if "growth" in extras and not results.growth:
            results.growth = growth.measure(made, tell)
            results.write(UNFINISHED)
        progress.update(task, description="done", completed=len(left) + len(extras), refresh=True)


def _profile(rows: list[Row], layout: str, console: Console) -> None:
    with _progress() as progress, bench(layout) as made:
        tell = _telling(progress, progress.add_task("", total=None))
        files = [PASSING / f"profile-{row.key}.txt" for row in rows]
        for row, file in zip(rows, files, strict=True):
            profile.record(made, row, file, tell)
    for row, file in zip(rows, files, strict=True):
        profile.show(row, file, console)


def _progress() -> Progress:
    """Nothing runs beside the client but what it measures: the bar moves between runs only."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), auto_refresh=False)


def _write(results: Results, folder: Path, plots: bool) -> None:
    results.write(folder / "results.json")
    (folder / "table.md").write_text(report.as_markdown(results))
    if plots:
        from tests.bench import plots as drawn  # noqa: PLC0415 - matplotlib is there for the bench only

        if results.outcomes:
            drawn.ratios(results, folder / "ratios.png")
        if results.growth:
            drawn.growth(results.growth, folder / "growth.png")


def _telling(progress: Progress, task: TaskID) -> Tell:
    return lambda words: progress.update(task, description=words, refresh=True)


if __name__ == "__main__":
    main()
