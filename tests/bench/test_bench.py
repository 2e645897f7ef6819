"""The bench works: every row in miniature. How long anything took is nobody's business here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import crowd, growth
from tests.bench.mail import Mailbox
from tests.bench.report import as_markdown
from tests.bench.results import Crowd, Figures, Outcome, Point, Results
from tests.bench.rows import FULL, TINY, table
from tests.bench.run import Bench, bench, measure
from tests.servers.fixtures import requires

SHOWN = Path(__file__).parent / "results"
PAIR = ("gateway", "peer")
RESULTS = Results(
    {"gateway": "pop3-gateway", "load": "0.1"},
    [Outcome("poll", "poll", "/s", 5, False, 0, {"gateway": Figures([9.0, 8.0], 41_000), "peer": Figures([2.0])})],
    [Point(name, size, 1.5, 0.5, 40_000) for name in PAIR for size in (10, 100)],
    Crowd(10, 20.5, 0.005, 0.006, 0.007, 1.0),
)
ROWS = {row.key: row for row in table(TINY)}


@pytest.fixture(scope="module")
def small_bench() -> Iterator[Bench]:
    requires("dovecot", "dovecot-imapd")
    requires("/usr/lib/dovecot/pop3", "dovecot-pop3d")
    with bench() as made:
        yield made


@pytest.mark.parametrize("key", ["poll-10", "retr-large-tls", "open-cold", "idle", "poll-far"])
def test_a_row_is_measured_for_all_who_take_part(key: str, small_bench: Bench) -> None:
    row = ROWS[key]
    outcome = measure(small_bench, row, TINY)
    assert set(outcome.figures) == {*row.subjects, *(["limit"] if row.kind.limit else [])}
    assert all((outcome.figures[name].memory or 0) > 0 for name in ("gateway", "peer"))
    assert f"| {row.title} |" in as_markdown(Results({}, [outcome]))


def test_a_crowd_and_growth_are_measured(small_bench: Bench) -> None:
    among = crowd.measure(small_bench, _say_nothing, sessions=10)
    points = growth.measure(small_bench, _say_nothing, sizes=(20,))
    assert {(point.subject, point.messages) for point in points} == {(name, 20) for name in PAIR}
    shown = as_markdown(Results({}, [], points, among))
    assert "10 idle sessions" in shown
    assert "| 20 |" in shown


def test_the_table_is_what_the_figures_say() -> None:
    results = Results.read(SHOWN / "results.json")
    assert (SHOWN / "table.md").read_text() == as_markdown(results)
    assert {outcome.key for outcome in results.outcomes} == set(ROWS)


def test_results_can_be_read_again(tmp_path: Path) -> None:
    RESULTS.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == RESULTS


def test_the_plots_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from tests.bench import plots  # noqa: PLC0415 - for the bench only

    plots.ratios(RESULTS, tmp_path / "ratios.png")
    plots.growth(RESULTS.growth, tmp_path / "growth.png")
    assert (tmp_path / "ratios.png").stat().st_size > 5_000
    assert (tmp_path / "growth.png").stat().st_size > 5_000


def test_mail_is_always_the_same_and_has_the_size_it_should() -> None:
    mailbox = Mailbox("some", 50)
    messages = list(mailbox.messages())
    assert messages == list(mailbox.messages())
    assert all(1_900 < len(octets) < 11_000 for octets in messages)
    assert all(b"\n" not in octets.replace(b"\r\n", b"") for octets in messages)


@pytest.mark.parametrize(("least", "ratio"), [(False, 0.5), (True, 2.0)])
def test_a_ratio_says_how_many_times_better_the_gateway_is(least: bool, ratio: float) -> None:
    figures = {"gateway": Figures([9.0, 1.0, 2.0]), "peer": Figures([4.0])}
    outcome = Outcome("key", "title", "s", 1.5, least, 0, figures)
    assert outcome.ratio() == ratio
    assert bool(outcome.short) is not least


def test_the_full_bench_has_every_goal_and_large_messages() -> None:
    rows = {row.key: row for row in table(FULL)}
    assert len(rows) == 12
    assert all(row.goal >= 1.5 for row in rows.values())
    assert rows["retr-large"].mailbox.octets == (25_000_000, 25_000_000)


def _say_nothing(_: str) -> None: ...
