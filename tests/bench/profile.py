"""Where the gateway's interpreter spends its time in a row: py-spy looks at it often, from outside."""

import collections
import subprocess
import sys
import time
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.rows import Row
from tests.bench.run import Bench, Tell
from tests.bench.subjects import Gateway
from tests.bench.work import poll_once

RATE = 500  # looks a second
SECONDS = 10
SHOWN = 30


def record(bench: Bench, row: Row, file: Path, tell: Tell) -> None:
    """Collapsed stacks into `file`, while the row's work is done again and again; speedscope.app draws them."""
    program = Path(sys.executable).with_name("py-spy")
    if not program.exists():
        raise FileNotFoundError("no py-spy here: pip install -e '.[bench]'")
    file.parent.mkdir(parents=True, exist_ok=True)
    with bench.scene(row.mailbox, row.way) as scene:
        gateway = Gateway(scene)
        try:
            poll_once(gateway, row.mailbox)
            tell(f"{row.title}: profile")
            # Threads without the interpreter's lock wait or are in the system; which, py-spy cannot say.
            arguments = [*("--rate", str(RATE), "--duration", str(SECONDS)), "--subprocesses", "--gil"]
            arguments += ["--function", "--format", "raw"]
            spy = subprocess.Popen(
                [program, "record", "--pid", str(gateway.group), *arguments, "--output", str(file)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                row.kind.work(gateway, row.mailbox, row.amount)
            _, said = spy.communicate()
            if spy.returncode:
                raise RuntimeError(f"py-spy: {said}")
        finally:
            gateway.stop()


def show(row: Row, file: Path, console: Console) -> None:
    """The functions in which most of the time went, in themselves and in what they called."""
    own: collections.Counter[str] = collections.Counter()
    within: collections.Counter[str] = collections.Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        within.update(dict.fromkeys(set(frames), int(count)))
    total = own.total() or 1
    console.print(
        f"{row.title}: at work in {total:,} of {RATE * SECONDS:,} looks; stacks in {file}", soft_wrap=True
    )
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("itself", "with callees"):
        table.add_column(heading, justify="right", min_width=len(heading))
    table.add_column("function", no_wrap=True)
    for frame, looks in own.most_common(SHOWN):
        table.add_row(f"{looks / total:.1%}", f"{within[frame] / total:.1%}", frame)
    console.print(table)
