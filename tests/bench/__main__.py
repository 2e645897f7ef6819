"""`python -m tests.bench`: see `--help`, and README.md for what it measures."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from tests.bench import machine, report
from tests.bench.results import Results
from tests.bench.rows import FULL, QUICK, Row, table
from tests.bench.run import bench, measure

SHOWN = Path(__file__).parent / "results"  # what the README shows
PASSING = Path(__file__).parents[2] / ".cache" / "bench"  # of runs in part


def _chosen(names: str, rows: tuple[Row, ...]) -> list[Row]:
    known = {row.key: row for row in rows}
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(known)
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise click.BadParameter(f"no row {', '.join(unknown)}; there are {', '.join(known)}", param_hint="--rows")
    return [known[name] for name in wanted]


@click.command()
@click.option("--rows", "names", default="", help="Some rows only: poll-10,retr-small.")
@click.option("--rounds", type=click.IntRange(1), help="How often each takes its turn.")
@click.option("--quick", is_flag=True, help="Fewer polls, fewer large messages, three rounds.")
@click.option(
    "--layout",
    type=click.Choice(["maildir", "sdbox", "mdbox"]),
    default="maildir",
    show_default=True,
    help="How the upstream stores its mail.",
)
def main(names: str, rounds: int | None, quick: bool, layout: str) -> None:
    """The gateway beside Dovecot's POP3 over imapc. A full run is what the README shows."""
    scale = QUICK if quick else FULL
    chosen = _chosen(names, table(scale))
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    # Nothing runs beside the client but what it measures: the bar moves between runs only.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress, bench(layout) as made:
        task = progress.add_task("", total=len(chosen))

        def tell(words: str) -> None:
            progress.update(task, description=words, refresh=True)

        about, outcomes = machine.describe(), []
        for row in chosen:
            outcomes.append(measure(made, row, rounds or scale.rounds, tell))
            progress.advance(task)
    results = Results(about, outcomes)
    folder = PASSING if names or quick or rounds else SHOWN
    results.write(folder / "results.json")
    (folder / "table.md").write_text(report.as_markdown(results))
    report.show(results, Console(width=None if sys.stdout.isatty() else 160))


if __name__ == "__main__":
    main()
