"""Settings from a file, the environment and the command line, later ones winning; errors name the place."""

import difflib
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config.listening import Listener
from gateway.config.schema import PREFIX, Where, is_path, model_of, section_at, setting, variables
from gateway.config.settings import OwnSettings, Settings
from gateway.config.values import DAY, urls_in
from gateway.errors import SettingsError

_S = TypeVar("_S", bound=OwnSettings)

CONFIG_VARIABLE = PREFIX + "CONFIG"
CLIENT_SECRET_VARIABLE = PREFIX + "CLIENT_SECRET"  # no setting: what --client-id of `account add` comes with
# Kubernetes puts these in for a Service whose name begins with ours.
_NOT_OURS = re.compile(PREFIX + r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_\w+)")


@dataclass(slots=True)
class _Raw:
    """Values as they were written, and where."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Where, str] = field(default_factory=dict)

    def set(self, where: tuple[str, ...], value: Any, origin: str) -> None:
        at = self.values
        for depth, key in enumerate(where[:-1], 1):
            inner = at.setdefault(key, {})
            if not isinstance(inner, dict):
                shorthand = section_at(where[:depth]).shorthand
                if not shorthand or not isinstance(inner, str):
                    raise SettingsError(f"{self.origin(where[:depth])}: {_no_mapping(where[:depth], inner)}")
                # `upstream: imaps://…` in the file, and one more key from elsewhere
                at[key] = inner = {shorthand: inner}
            at = inner
        last = where[-1]
        section = model_of(where)
        if section and section.shorthand and isinstance(value, str) and isinstance(at.get(last), dict):
            at[last] = at[last] | {section.shorthand: value}
        else:
            at[last] = value
        self.origins[where] = origin

    def origin(self, where: Where) -> str:
        """The nearest place that is known."""
        while where:
            if where in self.origins:
                return self.origins[where]
            where = where[:-1]
        return self.origins.get((), "")


def load(file: Path | None, environment: Mapping[str, str], options: Mapping[tuple[str, ...], Any]) -> Settings:
    """`options` are from the command line, by path. Raises SettingsError with one line for each fault."""
    return _load(Settings, file, environment, options)


def load_own(
    file: Path | None, environment: Mapping[str, str], options: Mapping[tuple[str, ...], Any]
) -> OwnSettings:
    """The same, and the upstream may be missing."""
    return _load(OwnSettings, file, environment, options)


def _load(
    kind: type[_S], file: Path | None, environment: Mapping[str, str], options: Mapping[tuple[str, ...], Any]
) -> _S:
    raw = _Raw()
    file = file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if file is not None:
        _read_file(file, raw)
    _read_environment(environment, raw)
    for where, value in options.items():
        raw.set(where, value, f"--{where[-1].replace('_', '-')}")
    try:
        return kind.model_validate(raw.values)
    except ValidationError as error:
        faults = error.errors()
        # A list whose only entry is wrong is also reported as too short.
        said = [fault for fault in faults if fault["type"] != "too_short" or len(faults) == 1]
        raise SettingsError("\n".join(_explain(fault, raw) for fault in said)) from None


# The file


def _read_file(file: Path, raw: _Raw) -> None:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{file}: {error.strerror or error}; it is named by --config or {CONFIG_VARIABLE}"
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: not a text file in UTF-8") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw.origins[()] = str(file)
        values = None if node is None else _value(node, (), file, raw)
    except yaml.YAMLError as error:
        raise SettingsError(_explain_yaml(error, file)) from None
    except RecursionError:
        raise SettingsError(f"{file}: not settings: nested without end") from None
    if values is None:
        return
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: settings are a mapping, like `upstream: imaps://imap.example.com`")
    raw.values = values


def _value(node: yaml.Node, where: Where, file: Path, raw: _Raw) -> Any:
    raw.origins[where] = f"{file}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, where, file, raw)
    if isinstance(node, yaml.SequenceNode):
        return [_value(inner, (*where, index), file, raw) for index, inner in enumerate(node.value)]
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except ValueError as error:  # 2024-02-30 looks like a date and is none
        raise SettingsError(f"{raw.origins[where]}: {_dotted(where)}: {node.value}: {error}; quote it") from None
    if isinstance(value, str) and is_path(where) and "://" not in value:
        return str(file.parent / value)  # as in other servers' files: beside the file, wherever one starts us
    return value


def _mapping(node: yaml.MappingNode, where: Where, file: Path, raw: _Raw) -> dict[Hashable, Any]:
    made: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = yaml.SafeLoader("").construct_object(key_node)
        at = f"{file}:{key_node.start_mark.line + 1}"
        if not isinstance(key, str):
            raise SettingsError(f"{at}: {key!r} is not a setting's name")
        if key in made:
            raise SettingsError(f"{at}: {_dotted((*where, key))} is there twice")
        made[key] = _value(value_node, (*where, key), file, raw)
        raw.origins[(*where, key)] = at
    # An empty section (`tls:` and nothing behind it) is as good as none.
    return {key: value for key, value in made.items() if value is not None}


def _explain_yaml(error: yaml.YAMLError, file: Path) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    line = f":{mark.line + 1}" if mark else ""
    hint = next((f" ({hint})" for sign, hint in _YAML_HINTS if re.search(sign, problem)), "")
    return f"{file}{line}: not YAML: {problem}{hint}"


_YAML_HINTS = (
    (r"\\t", "YAML is indented with spaces, never with tabs"),
    (
        r"cannot start|undefined alias|for the tag|expected (',' or|alphabetic)|found '<scalar>'|not allowed here",
        "text that begins with one of { } [ ] , & * ! | > @ ` % needs quotes, and so does text with ': ' in it",
    ),
)


# The environment


def _read_environment(environment: Mapping[str, str], raw: _Raw) -> None:
    known = variables()
    # Shortest first: POP3_GATEWAY_UPSTREAM before POP3_GATEWAY_UPSTREAM_CA_FILE, which refines it.
    for name in sorted(environment, key=len):
        if (
            not name.startswith(PREFIX)
            or name in (CONFIG_VARIABLE, CLIENT_SECRET_VARIABLE)
            or _NOT_OURS.fullmatch(name)
        ):
            continue
        where = setting(name)
        if where is None:
            if name.startswith(PREFIX + "LISTEN_"):
                raise SettingsError(
                    f"{name}: a listener's options stand in its URL, as in pop3://0.0.0.0:110?option=true"
                )
            if name.startswith(PREFIX + "OAUTH_"):
                raise SettingsError(
                    f"{name}: no such setting; it is {PREFIX}OAUTH_, the provider's name, and one of "
                    f"{', '.join(f'_{key.upper()}' for key in section_at(('oauth',)).settable())}"
                )
            plain = name.removesuffix("_URL")  # of a section that a URL stands for
            meant = [plain] if plain in known else [*known, CONFIG_VARIABLE]
            raise SettingsError(f"{name}: no such setting{_suggestion(name, meant)}")
        if environment[name]:
            raw.set(where, _from_text(environment[name], where, name), name)


def _from_text(text: str, where: tuple[str, ...], name: str) -> Any:
    """Listeners have commas or blanks between; anything that begins like a YAML list or mapping is one."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise SettingsError(f"{name}: not YAML: {getattr(error, 'problem', error)}") from None
    return urls_in(text) if where == ("listen",) else text


# Errors


def _explain(fault: ErrorDetails, raw: _Raw) -> str:
    where = fault["loc"]
    origin = raw.origin(where)
    section = model_of(where[:-1])
    if section and section.shorthand == where[-1] and where not in raw.origins:
        where = where[:-1]  # it was written as a plain URL
    named = _dotted(where)
    said = [origin] if origin == f"--{named}" else [origin, named]
    return ": ".join(filter(None, (*said, _what(fault))))


def _what(fault: ErrorDetails) -> str:
    where, value, kind = fault["loc"], fault["input"], fault["type"]
    match kind:
        case "extra_forbidden":
            section = model_of(where[:-1])
            return f"no such setting{_suggestion(str(where[-1]), section.settable() if section else [])}"
        case "missing":
            return _missing(where)
        case "literal_error" | "enum":
            return _not_one_of(re.findall(r"'([^']*)'", fault["ctx"]["expected"]), value)
        case "model_type" | "dict_type" | "model_attributes_type":
            return _no_mapping(where, value, name=False)
        case "value_error":
            return str(fault["ctx"]["error"])
        case _ if kind in _BOUNDS:
            words, bound = _BOUNDS[kind]
            return f"{value!r} cannot be; write {words} {_limit(fault['ctx'][bound])}"
        case _ if kind in _EXPECTED:
            return f"{_EXPECTED[kind]}, not {value!r}"
        case _:
            return f"{fault['msg']}, not {value!r}"


# What pydantic calls it, and we.
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}
_EXPECTED = {
    **dict.fromkeys(("int_parsing", "float_parsing", "int_type", "float_type"), "a number is expected"),
    **dict.fromkeys(("int_from_float", "finite_number"), "a whole number is expected"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false is expected"),
    "path_type": "a path is expected",
    "string_type": "text is expected",
    "string_too_short": "a name is expected",
    "tuple_type": f"a URL is expected, or a list of them, like {Listener.example}",
    "too_short": f"at least one URL is expected, like {Listener.example}",
}


def _missing(where: Where) -> str:
    if where == ("upstream",):
        return (
            "which IMAP server? For instance upstream: imaps://imap.example.com in the file that --config or "
            f"{CONFIG_VARIABLE} names, or --upstream, or {PREFIX}UPSTREAM"
        )
    section = model_of(where[:-1])
    example = getattr(section, "example", "")
    return f"{where[-1]} is needed" + (f", like {example}" if example else "")


def _not_one_of(choices: list[str], value: Any) -> str:
    close = difflib.get_close_matches(str(value), choices, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{value!r} is not one of {', '.join(choices)}{hint}"


def _limit(bound: float) -> str:
    """Nothing but times goes into days."""
    return f"{bound // DAY:.0f}d" if bound and not bound % DAY else f"{bound:g}"


def _no_mapping(where: Where, value: Any, *, name: bool = True) -> str:
    section = model_of(where)
    keys = ", ".join(section.settable()) if section else ""
    subject = f"{_dotted(where)}: " if name else ""
    return f"{subject}{value!r} stands where a mapping is expected, with the keys {keys}"


def _suggestion(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there is {', '.join(known)}" if 0 < len(known) <= 12 else ""


def _dotted(where: Where) -> str:
    text = ""
    for key in where:
        text += f"[{key + 1}]" if isinstance(key, int) else f".{key}"
    return text.lstrip(".")
