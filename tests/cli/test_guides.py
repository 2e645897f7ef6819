"""The guides: their commands are ones, and so are their settings."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from gateway.cli import commands
from gateway.config import load
from tests import documents

GUIDES = [documents.README, *sorted((documents.ROOT / "docs").glob("*.md"))]
_COMMAND = re.compile(r"(?m)^ +(?:\$ )?pop3-gateway ((?:[^\n]*\\\n)*[^\n]*)$")
_IN_TEXT = re.compile(r"`(?:pop3-gateway )?(account (?:add|authorize|invite|show|upstream-\w+) [A-Za-z][^`…]*)`")
_BLOCK = re.compile(r"(?m)(?:^ {4,}\S[^\n]*\n(?:[ \t]*\n(?= {4}))?)+")


def said() -> Iterator[tuple[str, str]]:
    for guide in GUIDES:
        text = guide.read_text()
        for found in (*_COMMAND.finditer(text), *_IN_TEXT.finditer(text)):
            yield guide.name, found[1].replace("\\\n", " ")


def settings() -> Iterator[tuple[str, str]]:
    for guide in GUIDES:
        for found in _BLOCK.finditer(guide.read_text()):
            block = textwrap.dedent(found[0])
            if re.search(r"(?m)^(oauth|web):", block):
                yield guide.name, block.split("\n$ ")[0]


def parsed(words: list[str]) -> click.Context:
    """As far as a command gets before it does anything."""
    context = click.Context(commands, info_name="pop3-gateway")
    command: click.Command = commands
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = click.Context(command, parent=context)
    return command.make_context(command.name, words, parent=context.parent)


@pytest.mark.parametrize(("guide", "command"), sorted(set(said())))
def test_a_command_of_a_guide_is_one(guide: str, command: str) -> None:
    parsed(shlex.split(command, comments=True))


@pytest.mark.parametrize(("guide", "block"), sorted(set(settings())))
def test_settings_of_a_guide_are_some(guide: str, block: str, tmp_path: Path) -> None:
    told = {"upstream": "imaps://imap.example.com"} | yaml.safe_load(block)
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(told))
    load(file, {}, {})


def test_there_is_something_to_try() -> None:
    assert len(set(said())) > 20
    assert len(set(settings())) >= 5
