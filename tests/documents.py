"""The parts of documents that are made from the code; `make docs` writes them, a test compares them."""

import re
from pathlib import Path

from gateway.config import reference

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ANNOTATED = ROOT / "deploy" / "gateway.yaml"

_SETTINGS = re.compile(r"(<!-- settings: [^\n]*-->\n).*?(<!-- /settings -->)", re.DOTALL)


def readme() -> str:
    """README.md with the table of settings as it must be."""
    table = reference.as_markdown()
    return _SETTINGS.sub(lambda found: f"{found[1]}\n{table}\n{found[2]}", README.read_text())


def annotated() -> str:
    """deploy/gateway.yaml as it must be."""
    return reference.as_yaml()


def main() -> None:
    README.write_text(readme())
    ANNOTATED.write_text(annotated())


if __name__ == "__main__":
    main()
