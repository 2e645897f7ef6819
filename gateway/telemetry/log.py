"""Events as lines: for people on a console, or JSON for a machine."""

import contextlib
import dataclasses
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, TextIO

import structlog

from gateway.telemetry.events import Event

# The session that the running task belongs to: every line that it causes bears it.
session_id: ContextVar[str] = ContextVar("session_id", default="")


class Log:
    """Call emit() with an event. `format` is "json", "console", or "auto": console on a terminal."""

    def __init__(self, level: str = "info", format: str = "auto", stream: TextIO | None = None) -> None:  # noqa: A002
        stream = stream or sys.stderr
        console = format == "console" or (format == "auto" and stream.isatty())
        renderer = (
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)
            if console
            else structlog.processors.JSONRenderer(ensure_ascii=False)
        )
        self._logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _one_line,
                _in_order,
                renderer,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        )

    def emit(self, event: Event) -> None:
        fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
        if session := session_id.get():
            fields["session"] = session
        with contextlib.suppress(Exception):  # a full disk or a reader that went away: the mail goes on
            getattr(self._logger, event.level)(event.name, **fields)


def _one_line(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A name that a stranger sends cannot forge a line: controls are shown escaped, a traceback as one string."""
    for key, value in fields.items():
        if isinstance(value, str) and not value.isprintable():
            fields[key] = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return fields


def _in_order(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """When and what first: JSON is read by people, too."""
    first = ("timestamp", "level", "event", "session")
    return {key: fields[key] for key in first if key in fields} | dict(fields)
