"""What the settings say of themselves: their paths, their sections, their environment variables."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from gateway.config.sections import Section
from gateway.config.settings import Settings

PREFIX = "POP3_GATEWAY_"

LISTS = {("listen",), ("routes",)}  # of sections: the environment has no names for their keys
NAMED = {("oauth",)}  # sections by names that the operator gives them

Where = tuple[str | int, ...]  # a setting's path, e.g. ("listen", 0, "url")


def variables() -> dict[str, tuple[str, ...]]:
    """Every variable that is read, and the setting it stands for."""
    return {PREFIX + "_".join(where).upper(): where for where in paths(Settings)}


def setting(variable: str) -> tuple[str, ...] | None:
    """What a variable stands for: OAUTH_GOOGLE_CLIENT_ID for oauth.google.client_id. None: nothing."""
    known = variables()
    if variable in known:
        return known[variable]
    for above in NAMED:
        name = variable.removeprefix(PREFIX + "_".join(above).upper() + "_").lower()
        for key in sorted(section_at(above).settable(), key=len, reverse=True):
            if name != variable.lower() and name.endswith(f"_{key}") and name != f"_{key}":
                return (*above, name.removesuffix(f"_{key}").replace("_", "-"), key)
    return None


def model_of(where: Where) -> type[Section] | None:
    """The section at a path; None for a leaf."""
    model: Any = Settings
    for depth, key in enumerate(where):
        if isinstance(key, str) and where[:depth] not in NAMED:
            if model is None or key not in model.model_fields:
                return None
            model = section_in(model.model_fields[key].annotation)
    return model if model is not None and issubclass(model, Section) else None


def section_at(where: Where) -> type[Section]:
    section = model_of(where)
    if section is None:
        raise KeyError(str(where))
    return section


def paths(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every setting that a plain value can be given to, in the order of the models."""
    for name, described in model.model_fields.items():
        where = (*above, name)
        section = section_in(described.annotation)
        if section is None or section.shorthand or where in NAMED:
            yield where
        if section is not None and where not in LISTS | NAMED:
            yield from (inner for inner in paths(section, where) if inner[-1] != section.shorthand)


def section_in(annotation: Any) -> type[Section] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


def is_path(where: Where) -> bool:
    parent = model_of(where[:-1]) if where else None
    described = parent.model_fields.get(str(where[-1])) if parent else None
    return described is not None and Path in (described.annotation, *get_args(described.annotation))
