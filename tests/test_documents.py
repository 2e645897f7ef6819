"""What the documents say of the code is what the code says."""

import re
from pathlib import Path

import pytest

from tests import documents

TEXTS = [documents.README, *sorted((documents.ROOT / "docs").glob("*.md"))]


def test_the_readme_has_every_setting() -> None:
    assert documents.README.read_text() == documents.readme(), "run: make docs"


def test_the_annotated_file_has_every_setting() -> None:
    assert documents.ANNOTATED.read_text() == documents.annotated(), "run: make docs"


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(text: Path) -> None:
    named = re.findall(r"`((?:gateway|tests|deploy|docs)/[\w./-]+)`|\]\(([\w./-]+)\)", text.read_text())
    missing = [path for pair in named for path in pair if path and not (documents.ROOT / path).exists()]
    assert missing == []
