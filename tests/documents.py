"""The parts of documents that are made from the code; `make docs` writes them, a test compares them."""

import re
from pathlib import Path

from gateway.config import reference
from gateway.oauth import PROVIDERS, Provider
from gateway.ports import Renewal

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ANNOTATED = ROOT / "deploy" / "gateway.yaml"
PROVIDERS_PAGE = ROOT / "docs" / "providers.md"

BENCH = ROOT / "tests" / "bench" / "results"

_SETTINGS = re.compile(r"(<!-- settings: [^\n]*-->\n).*?(<!-- /settings -->)", re.DOTALL)
_BENCH = re.compile(r"(<!-- bench: [^\n]*-->\n).*?(<!-- /bench -->)", re.DOTALL)
_PROVIDERS = re.compile(r"(<!-- providers: [^\n]*-->\n).*?(<!-- /providers -->)", re.DOTALL)


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


def providers() -> str:
    """docs/providers.md with the table as it must be."""
    rows = [
        "| name | provider | IMAP server | ways | know beforehand |",
        "|---|---|---|---|---|",
        *map(_row, _rows()),
    ]
    said = [f"- {row.title}: {', '.join(f'<{source}>' for source in row.sources)}" for row in _rows()]
    more = [
        "| name | scopes | SASL | deleted messages | connections at once |",
        "|---|---|---|---|---|",
        *map(_more_of, _rows()),
    ]
    made = "\n".join([*rows, "", *more, "", "Who says so:", "", *said]) + "\n"
    return _between(_PROVIDERS, made, PROVIDERS_PAGE.read_text())


def _rows() -> list[Provider]:
    return list(PROVIDERS.values())


def _row(provider: Provider) -> str:
    ways = {
        "browser": bool(provider.authorization),
        "code": bool(provider.device),
        "application": Renewal.CLIENT in provider.renewals,
        "service account": Renewal.ASSERTION in provider.renewals,
    }
    name = f"`{provider.name}`"
    title = f"[{provider.title}]({provider.registered_at})" if provider.registered_at else provider.title
    server = f"`{provider.upstream.removeprefix('imaps://')}`" if provider.upstream else "`upstream` says it"
    return f"| {name} | {title} | {server} | {', '.join(way for way in ways if ways[way])} | {provider.remark} |"


def _more_of(provider: Provider) -> str:
    scopes = " ".join(f"`{scope}`" for scope in provider.scopes) or "`scopes` says them"
    deleted = f"`on_delete: {provider.on_delete.value}`" if provider.on_delete else ""
    most = str(provider.connections) if provider.connections else ""
    return f"| `{provider.name}` | {scopes} | {provider.mechanism} | {deleted} | {most} |"


def annotated() -> str:
    """deploy/gateway.yaml as it must be."""
    return reference.as_yaml()


def main() -> None:
    README.write_text(readme())
    ANNOTATED.write_text(annotated())
    PROVIDERS_PAGE.write_text(providers())


if __name__ == "__main__":
    main()
