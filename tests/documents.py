"""The parts of documents that are made from the code; `make docs` writes them, a test compares them."""

import re
from pathlib import Path

from gateway.config import reference

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ANNOTATED = ROOT / "deploy" / "gateway.yaml"

BENCH = ROOT / "tests" / "bench" / "results"

_SETTINGS = re.compile(r"(<!-- settings: [^\n]*-->\n).*?(<!-- /settings -->)", re.DOTALL)
_BENCH = re.compile(r"(<!-- bench: [^\n]*-->\n).*?(<!-- /bench -->)", re.DOTALL)


def readme() -> str:
    """README.md with the table of settings and the bench's figures as they must be."""
    text = README.read_text()
    for place, made in ((_SETTINGS, reference.as_markdown()), (_BENCH, _bench())):
        text = _between(place, made, text)
    return text


def _between(place: re.Pattern[str], made: str, text: str) -> str:
    return place.sub(lambda found: f"{found[1]}\n{made}\n{found[2]}", text)


def _bench() -> str:
    """The last full run's tables and plots."""
    table = BENCH / "table.md"
    if not table.exists():
        return "Nothing was measured yet.\n"
    plots = [("times better than Dovecot imapc", "ratios.png"), ("opening by number of messages", "growth.png")]
    shown = [
        f"![{title}]({(BENCH / name).relative_to(ROOT)})\n" for title, name in plots if (BENCH / name).exists()
    ]
    runs = f"All runs are in [results.json]({(BENCH / 'results.json').relative_to(ROOT)}).\n"
    return "\n".join([table.read_text(), *shown, runs])


def annotated() -> str:
    """deploy/gateway.yaml as it must be."""
    return reference.as_yaml()


def main() -> None:
    README.write_text(readme())
    ANNOTATED.write_text(annotated())


if __name__ == "__main__":
    main()
