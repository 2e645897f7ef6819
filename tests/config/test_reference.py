"""The reference of every setting is true."""

import re
from pathlib import Path

from gateway.config import Settings, load
from gateway.config.reference import UPSTREAM_EXAMPLE, as_markdown, as_yaml
from gateway.config.schema import PREFIX, paths, variables


def test_the_reference_loads_back_to_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(as_yaml())
    defaults = load(None, {}, {("upstream",): UPSTREAM_EXAMPLE})
    assert load(file, {}, {}) == defaults


def test_the_reference_with_every_setting_uncommented_names_only_settings_that_there_are(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    text = re.sub(r"^( *)# min_version:$", r"\1min_version: TLSv1.3", as_yaml(), flags=re.MULTILINE)
    file.write_text(re.sub(r"^( *)# (\w+):$", r"\1\2: x", text, flags=re.MULTILINE))
    loaded = load(file, {}, {})
    assert loaded.state == tmp_path / "x"
    assert loaded.tls.certificate == tmp_path / "x"


def test_the_reference_has_every_variable_and_no_other() -> None:
    assert set(re.findall(rf"\[({PREFIX}\w+)\]", as_yaml())) == set(variables())


def test_the_table_has_every_setting() -> None:
    table = as_markdown()
    leaves = {".".join(where) for where in paths(Settings)} - {"listen", "upstream"}
    assert leaves <= set(re.findall(r"^\| `([\w.]+)` \|", table, flags=re.MULTILINE))
    assert "| `maildrop.on_delete` | `auto` |" in table
    assert "| `upstream.url` | required |" in table


def test_no_line_of_the_reference_is_too_wide_to_read() -> None:
    assert max(map(len, as_yaml().splitlines())) <= 115
