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


def test_the_page_of_providers_has_every_row() -> None:
    assert documents.PROVIDERS_PAGE.read_text() == documents.providers(), "run: make docs"


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(text: Path) -> None:
    named = re.findall(
        r"`((?:gateway|tests|deploy|docs)/[\w./-]+)`|\]\(([\w./-]+)(?:#[\w-]*)?\)", text.read_text()
    )
    files = [documents.ROOT / path if path else text.parent / link for path, link in named]
    assert [str(file) for file in files if not file.exists()] == []
