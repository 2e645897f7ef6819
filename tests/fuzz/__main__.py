"""`python -m tests.fuzz --minutes N`: every target for a while, guided by what the inputs reach.

An input that finds a bug is made smaller and put into the corpus; `--replay FILE` runs it again.
"""

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from tests.fuzz import corpus
from tests.fuzz.failing import minimised, why
from tests.fuzz.targets import TARGETS

TIMEOUT_SECONDS = 60  # for one input; most take milliseconds, ten times as many here as elsewhere
MEMORY_MB = 1024
INPUT_OCTETS = 8192
_INPUTS = re.compile(r"^stat::number_of_executed_units: +(\d+)", re.MULTILINE)
_REACHED = re.compile(r" cov: (\d+) ft: (\d+) ")


@dataclass(frozen=True, slots=True)
class Run:
    inputs: int
    reached: str  # edges, and combinations with how often
    failed: list[Path]


@click.command()
@click.option("--minutes", type=float, default=10.0, show_default=True, help="For all targets together.")
@click.option("--target", "names", type=click.Choice(sorted(TARGETS)), multiple=True, help="Only this one.")
@click.option("--keep", is_flag=True, help="Put inputs that reach something new into the corpus.")
@click.option("--replay", type=click.Path(path_type=Path, exists=True), help="Run a file of the corpus, no more.")
def main(minutes: float, names: tuple[str, ...], keep: bool, replay: Path | None) -> None:
    """Look for inputs that no test has thought of."""
    if replay is not None:
        _replay(replay)
        return
    chosen = names or tuple(TARGETS)
    inputs, failed = 0, list[Path]()
    share = minutes * 60 / sum(TARGETS[name].share for name in chosen)
    for name in chosen:
        seconds = max(1, round(share * TARGETS[name].share))
        run = _fuzz(name, seconds, keep=keep)
        click.echo(f"{name}: {run.inputs} inputs in {seconds} s, {run.reached}, {len(run.failed)} failed")
        inputs, failed = inputs + run.inputs, failed + run.failed
    click.echo(f"{inputs} inputs in {minutes:g} min, {len(failed)} failed")
    sys.exit(bool(failed))


def _replay(path: Path) -> None:
    name, octets = path.absolute().parent.name, path.read_bytes()
    if error := why(name, octets):
        raise error
    click.echo(f"{name}: {path.name} is fine")


def _fuzz(name: str, seconds: int, *, keep: bool) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        new, more, found = (Path(folder, part) for part in ("new", "more", "found"))
        for part in (new, more, found):
            part.mkdir()
        for entry, octets in TARGETS[name].more.items():
            (more / entry).write_bytes(octets)
        folders = [new, corpus.FOLDER / name, more]
        told = _worker(name, folders, f"-max_total_time={seconds}", f"-artifact_prefix={found}/")
        failed = [_keep_failed(name, path) for path in sorted(found.iterdir())]
        inputs, reached = _INPUTS.search(told), _REACHED.findall(told)
        if not inputs or not reached:
            raise click.ClickException(told)
        if keep:
            _worker(name, [corpus.FOLDER / name, new], "-merge=1")
        return Run(int(inputs[1]), "{} edges, {} features".format(*reached[-1]), failed)


def _worker(name: str, folders: list[Path], *options: str) -> str:
    """What it said. A target that finds a bug, or anything else that stops it early, is no error here."""
    command = [sys.executable, "-m", "tests.fuzz.worker", name, *map(str, folders)]
    limits = [f"-timeout={TIMEOUT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={INPUT_OCTETS}"]
    also = ["-detect_leaks=0", "-print_final_stats=1"]
    done = subprocess.run([*command, *limits, *also, *options], stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
    return done.stdout.decode("utf-8", "replace")


def _keep_failed(name: str, path: Path) -> Path:
    octets = path.read_bytes()
    error = why(name, octets) if path.name.startswith("crash-") else None
    if error is not None:
        octets = minimised(name, octets)
    kept = corpus.keep_failed(name, octets)
    click.echo(f"{name}: {path.name.partition('-')[0]}: {error!r}, repeat it with:")
    click.echo(f"  python -m tests.fuzz --replay {kept.relative_to(Path.cwd())}")
    return kept


if __name__ == "__main__":
    main()
