"""The terminal that we may have been called at, and what is at hand there."""

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_FAR_AWAY = ("SSH_CONNECTION", "SSH_TTY")


def say(text: str) -> None:
    """To the person: standard output is for what was asked for."""
    click.echo(text, err=True)


def console() -> Console:
    """As say(), for what is more than text."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def has_browser(environment: Mapping[str, str]) -> bool:
    """One that whoever sits at the terminal would see."""
    if environment.get("BROWSER"):
        return True
    if any(environment.get(name) for name in _FAR_AWAY):
        return False
    return sys.platform == "darwin" or any(environment.get(name) for name in _DISPLAYS)


def bar(*columns: "str | ProgressColumn") -> "Progress":
    """How far something is, at a terminal; nothing where nobody looks. `columns`: others than the usual."""
    from rich.progress import Progress  # noqa: PLC0415 - few commands take long

    shown = console()
    return Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal)


def counted(what: str) -> "Progress":
    """How many there are so far, where nobody knows how many there will be."""
    from rich.progress import SpinnerColumn, TextColumn  # noqa: PLC0415 - as above

    return bar(SpinnerColumn(), TextColumn(f"{{task.completed}} {what}"))


def many(count: int, what: str) -> str:
    """1 password, 2 passwords."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def span(seconds: float) -> str:
    """10 minutes; what is less than two of them, in seconds."""
    return many(round(seconds), "second") if seconds < 120 else many(round(seconds / 60), "minute")


@contextmanager
def countdown(what: str, seconds: float) -> Iterator[None]:
    """A line that says how much time is left, and goes away; where nobody looks, it is said once."""
    ends = time.monotonic() + seconds
    shown = console()

    def line() -> Text:
        return Text(f"{what}, {_clock(ends - time.monotonic())} left; Ctrl-C gives up", style="dim")

    if not shown.is_terminal:
        say(f"{what}, {_clock(seconds)} at most")
        yield
        return
    with Live(get_renderable=line, console=shown, refresh_per_second=2, transient=True):
        yield


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    return f"{minutes}:{rest:02}"
