"""`python -m tests.faults.soak --minutes N`: the model of test_model.py, again and again, with new seeds."""

import secrets
import sys
import tempfile
import time
from pathlib import Path

import click
from hypothesis import settings

from tests.faults.rig import Rig
from tests.faults.test_model import OPTIONS, Tally, run
from tests.servers import tls
from tests.servers.dovecot import Dovecot

LONG = settings(OPTIONS, max_examples=15, stateful_step_count=50)


@click.command()
@click.option("--minutes", type=float, default=10.0, show_default=True)
@click.option("--seed", type=int, default=None, help="Repeat this round, and no other.")
def main(minutes: float, seed: int | None) -> None:
    """Random sessions and faults against the gateway and a Dovecot, until the time is over or one goes wrong."""
    end, tally = time.monotonic() + minutes * 60, Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Dovecot(tls.make(folder)) as dovecot, Rig(dovecot, folder / "rig") as rig:
            while True:
                number = secrets.randbelow(2**32) if seed is None else seed
                try:
                    run(dovecot, rig, tally, number, LONG)
                except BaseException:
                    click.echo(f"{summary(tally)}, 1 violation: repeat it with --seed {number}")
                    raise
                click.echo(
                    f"{progress(tally)}, seed {number} was fine, {max(0, end - time.monotonic()):.0f} s left"
                )
                if seed is not None or time.monotonic() > end:
                    break
    click.echo(f"{summary(tally)}, 0 violations")


def summary(tally: Tally) -> str:
    return f"{tally.operations} operations, {tally.faults + tally.kills} faults"


def progress(tally: Tally) -> str:
    return f"{summary(tally)} ({tally.kills} kill -9), {tally.sessions} sessions"


if __name__ == "__main__":
    sys.exit(main())
