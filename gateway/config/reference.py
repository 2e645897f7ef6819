"""The annotated reference of every setting: a YAML file that loads as it is, and a Markdown table."""

import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.config.listening import Listener
from gateway.config.oauth import Application
from gateway.config.routes import Route
from gateway.config.schema import LISTS, NAMED, PREFIX, model_of, section_in
from gateway.config.sections import Section
from gateway.config.settings import Settings

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
        elif where == ("routes",):
            yield f"{indent}routes: []\n"
            yield from _described(Route, f"{indent}#   ")
        elif section is not None and where in NAMED:
            yield f"{indent}{name}: {{}}\n"
            yield f"{indent}#   {Application.example}\n"
            yield from _described(section, f"{indent}#     ")
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


def _described(model: type[Section], indent: str) -> Iterator[str]:
    """The keys of one entry of a list that is empty by default."""
    for name in model.settable():
        described = model.model_fields[name]
        default = _scalar(_default((name,), described))
        text = f"{name}: {_words(described)}" + (
            f" (default {default})" if default not in ("null", "''", "[]", "{}") else ""
        )
        yield from _wrapped(text, indent, indent + "  ")


def _wrapped(text: str, first: str, further: str) -> Iterator[str]:
    lines = textwrap.wrap(text, 112 - len(further), break_long_words=False, break_on_hyphens=False)
    yield from (f"{further if index else first}{line}\n" for index, line in enumerate(lines))


def _comment(
    where: tuple[str, ...], described: FieldInfo, section: type[Section] | None, indent: str
) -> Iterator[str]:
    variable = "" if where[:1] in LISTS and len(where) > 1 else PREFIX + "_".join(where).upper()
    if section is not None and not section.shorthand and where not in NAMED:
        variable = ""
    above = model_of(where[:-1])
    if above is not None and above.shorthand == where[-1]:
        variable = ""
    text = _words(described) + (f"  [{variable}]" if variable else "")
    yield from _wrapped(text, f"{indent}# ", f"{indent}# ")


def _leaves(model: type[Section], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name in model.settable():
        described = model.model_fields[name]
        section = section_in(described.annotation)
        where = (*above, name)
        if section is None or where in NAMED:
            yield where, described
        if section is not None:
            yield from _leaves(section, (*where, "NAME") if where in NAMED else where)


def _words(described: FieldInfo) -> str:
    choices = _choices(described.annotation)
    listed = f" ({' | '.join(choices)})" if choices else ""
    return (described.description or "") + listed


def _choices(annotation: Any) -> list[str]:
    for candidate in (annotation, *get_args(annotation)):  # it may also be none
        if get_origin(candidate) is Literal:
            return [str(choice) for choice in get_args(candidate)]
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
