"""Events as lines: for people on a console, or JSON for a machine."""

import contextlib
import json
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from select import PIPE_BUF
from typing import Any, TextIO

import structlog

from gateway.telemetry.events import Event

_CUT = " … "

# The session that the running task belongs to: every line that it causes bears it.
session_id: ContextVar[str] = ContextVar("session_id", default="")


class Log:
    """Call emit() with an event. `format` is "json", "console", or "auto": console on a terminal.

    A line is written at once. With a `worker`'s number every line bears it, and none is longer than what the
    system puts into a pipe undivided: several processes write there.
    """

    def __init__(
        self,
        level: str = "info",
        format: str = "auto",  # noqa: A002
        stream: TextIO | None = None,
        worker: int | None = None,
    ) -> None:
        stream = stream or sys.stderr
        self._always: dict[str, Any] = {} if worker is None else {"worker": worker}
        console = format == "console" or (format == "auto" and stream.isatty())
        renderer = (
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)
            if console
            else structlog.processors.JSONRenderer(_json)
        )
        logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            structlog.WriteLogger(stream),  # one write a line
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _one_line,
                _in_order,
                renderer if worker is None else _Short(renderer, stream),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        )
        self._logger = logger.bind()  # once, and not for every line

    def emit(self, event: Event) -> None:
        names: tuple[str, ...] = event.__match_args__  # all its fields
        fields: dict[str, Any] = {name: getattr(event, name) for name in names}
        fields |= self._always
        if session := session_id.get():
            fields["session"] = session
        with contextlib.suppress(Exception):  # a full disk or a reader that went away: the mail goes on
            getattr(self._logger, event.level)(event.name, **fields)


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=repr)


def _json(fields: MutableMapping[str, Any], **_: Any) -> str:
    """json.dumps() would make an encoder for every line."""
    return _ENCODER.encode(fields)


class _Short:
    """A renderer whose lines have at most PIPE_BUF octets: the longest text gives up its middle until they do."""

    def __init__(self, render: structlog.typing.Processor, stream: TextIO) -> None:
        self._render = render
        self._encoding = stream.encoding or "utf-8"

    def __call__(self, logger: Any, name: str, fields: MutableMapping[str, Any]) -> str:
        while True:
            line = str(self._render(logger, name, dict(fields)))
            texts = {key: value for key, value in fields.items() if isinstance(value, str)}
            longest = max(texts, key=lambda key: len(texts[key]))
            kept = len(texts[longest]) // 3
            if len(line.encode(self._encoding, "backslashreplace")) < PIPE_BUF or kept <= len(_CUT):
                return line
            fields[longest] = f"{texts[longest][:kept]}{_CUT}{texts[longest][-kept:]}"


def _one_line(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A name that a stranger sends cannot forge a line: controls are shown escaped, a traceback as one string."""
    for key, value in fields.items():
        if isinstance(value, str) and not value.isprintable():
            fields[key] = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return fields


def _in_order(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """When and what first: JSON is read by people, too."""
    first = ("timestamp", "level", "event", "worker", "session")
    return {key: fields[key] for key in first if key in fields} | dict(fields)
