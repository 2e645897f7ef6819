"""What a setting's value may look like: numbers, times, numbers of processes."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator

MOST_WORKERS = 64  # more processes than this on one machine are a slip of the keyboard
DAY = 86400  # seconds
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": DAY}


def _number(value: Any) -> Any:
    """YAML's yes and on are True, and True is 1 to Python."""
    if isinstance(value, bool):
        raise ValueError(f"a number is expected, not {str(value).lower()}")
    return value


Count = Annotated[int, BeforeValidator(_number)]


def _seconds(value: Any) -> Any:
    """`90`, `90s`, `10m`, `1h`, `2d`."""
    value = _number(value)
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", value)
        if not found:
            raise ValueError(f"{value!r} is not a time; write it like 90s, 10m, 1h or 2d")
        return float(found[1]) * _UNITS[found[2]]
    return value


SecondsOrNone = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=DAY)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=7 * DAY)]


def _workers(value: Any) -> Any:
    """A number, or auto: one error for both."""
    if value == "auto":
        return value
    try:
        number = int(_number(value))
    except (TypeError, ValueError, OverflowError):
        number = 0
    if not 1 <= number <= MOST_WORKERS or number != float(value):
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise ValueError(f"{shown} is not a number of processes; write 1 to {MOST_WORKERS}, or auto")
    return number


Workers = Annotated[int | Literal["auto"], PlainValidator(_workers)]
