"""The annotated reference of every setting: a YAML file that loads as it is, and a Markdown table."""

import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.config.schema import PREFIX, section_in
from gateway.config.settings import Listener, Section, Settings

UPSTREAM_EXAMPLE = "imaps://imap.example.com"
_EXAMPLES = {("upstream", "url"): UPSTREAM_EXAMPLE}  # of settings that have no default
_HEADING = """\
# pop3-gateway: every setting, with its default. Only `upstream` is needed; leave out what you do not change.
# Each can also come from the environment, by the name in capitals, or from a mapping in another form:
#   listen: [pop3://0.0.0.0:110, pop3s://0.0.0.0:995]
#   upstream: imaps://imap.example.com
# Times are seconds, or like 90s, 10m, 1h, 2d. Paths are relative to this file.
"""


def as_yaml() -> str:
    """A gateway.yaml with every setting at its default, described; the upstream is an example."""
    return _HEADING + "".join(_section(Settings, (), ""))


def as_markdown() -> str:
    """A table: setting, default, what it does."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for where, described in _leaves(Settings, ()):
        words = _words(described).replace("|", "\\|")
        rows.append(f"| `{'.'.join(where)}` | {_shown(where, described)} | {words} |")
    return "\n".join(rows) + "\n"


def _shown(where: tuple[str, ...], described: FieldInfo) -> str:
    if where in _EXAMPLES:
        return "required"
    default = _default(where, described)
    return "none" if default is None else f"`{_scalar(default)}`"


def _section(model: type[BaseModel], above: tuple[str, ...], indent: str) -> Iterator[str]:
    for name, described in model.model_fields.items():
        where = (*above, name)
        section = section_in(described.annotation)
        if not above:
            yield "\n"
        yield from _comment(where, described, section, indent)
        if where == ("listen",):
            yield f"{indent}listen:\n"
            yield from _item(Listener, where, f"{indent}  ")
        elif section is not None:
            yield f"{indent}{name}:\n"
            yield from _section(section, where, indent + "  ")
        else:
            default = _default(where, described)
            yield f"{indent}# {name}:\n" if default is None else f"{indent}{name}: {_scalar(default)}\n"


def _item(model: type[BaseModel], where: tuple[str, ...], indent: str) -> Iterator[str]:
    """One entry of a list of mappings."""
    lines = "".join(_section(model, where, indent + "  ")).splitlines(keepends=True)
    first = next(index for index, line in enumerate(lines) if not line.strip().startswith("#"))
    lines[first] = f"{indent}- {lines[first].lstrip()}"
    yield from lines


def _comment(
    where: tuple[str, ...], described: FieldInfo, section: type[Section] | None, indent: str
) -> Iterator[str]:
    variable = "" if where[0] == "listen" and len(where) > 1 else PREFIX + "_".join(where).upper()
    if section is not None and not section.shorthand:
        variable = ""
    if where[-1] == "url":
        variable = ""
    text = _words(described) + (f"  [{variable}]" if variable else "")
    for line in textwrap.wrap(text, 110 - len(indent), break_long_words=False, break_on_hyphens=False):
        yield f"{indent}# {line}\n"


def _leaves(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, described in model.model_fields.items():
        section = section_in(described.annotation)
        if section is None:
            yield (*above, name), described
        else:
            yield from _leaves(section, (*above, name))


def _words(described: FieldInfo) -> str:
    choices = _choices(described.annotation)
    listed = f" ({' | '.join(choices)})" if choices else ""
    return (described.description or "") + listed


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return []


def _default(where: tuple[str, ...], described: FieldInfo) -> Any:
    if where in _EXAMPLES:
        return _EXAMPLES[where]
    if where == ("listen", "url"):
        return Settings.model_fields["listen"].default[0].url
    value = described.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return None
    return value.value if isinstance(value, Enum) else value


def _scalar(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
