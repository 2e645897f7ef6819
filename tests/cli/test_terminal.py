"""What is at hand at a terminal."""

import pytest

from gateway.cli.terminal import has_browser, span
from tests.cli.pseudo_terminal import Terminal

_COUNTING = """
import time
from gateway.cli.terminal import countdown, say
with countdown("waiting", 600):
    say("something else")
    time.sleep({seconds})
say("over")
"""


@pytest.mark.parametrize(
    ("environment", "has"),
    [
        ({}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, False),
        ({"DISPLAY": ""}, False),
        ({"BROWSER": "/usr/bin/firefox", "SSH_TTY": "/dev/pts/1"}, True),
    ],
)
def test_a_browser_is_there_where_it_could_be_seen(
    environment: dict[str, str], has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert has_browser(environment) is has


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1 second"), (15, "15 seconds"), (119, "119 seconds"), (120, "2 minutes"), (625, "10 minutes")],
)
def test_a_time_is_told_in_whole_minutes_or_else_in_seconds(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_a_countdown_counts_leaves_room_and_goes_away() -> None:
    with Terminal(["-c", _COUNTING.format(seconds=60)], python=True) as terminal:
        terminal.wait_for("something else")
        terminal.wait_for(r"(?s)waiting, (\d+:\d\d) left; Ctrl-C gives up.*waiting, (?!\1)\d+:\d\d left")
        terminal.interrupt()
        assert terminal.end() != 0
        assert terminal.seen.rstrip().count("\x1b[?25h") == 1  # the cursor is shown again
    with Terminal(["-c", _COUNTING.format(seconds=0)], python=True) as terminal:
        terminal.wait_for("over")
