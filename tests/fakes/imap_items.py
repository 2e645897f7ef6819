"""What FETCH asks for and STORE gives: data items, sections of messages, flags."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.imap_store import SYSTEM_FLAGS, Known, Message, canonical
from tests.fakes.imap_wire import BadCommand, Literal, Value

_ITEM = re.compile(r"BODY(\.PEEK)?\[([^\]]*)\](?:<(\d+)\.(\d+)>)?|[A-Z0-9.-]+", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"(?:\A|\n)\r?\n")


@dataclass(frozen=True, slots=True)
class _Item:
    name: str
    value: Callable[[Known], Value]
    marks_seen: bool = False


def fetch_items(text: bytes) -> list[_Item]:
    listed = text.decode("latin-1")
    if listed.startswith("(") and listed.endswith(")"):
        listed = listed[1:-1]
    items, at = [], 0
    while match := _ITEM.match(listed, at):
        items.append(_fetch_item(match))
        at = match.end() + 1
        if listed[at - 1 : at] not in ("", " "):
            break
    if at != len(listed) + 1:
        raise BadCommand("syntax error in FETCH items")
    return items


def _fetch_item(match: re.Match[str]) -> _Item:
    name = match[0].upper()
    if match[2] is not None:
        return _body_item(match[2].upper(), match)
    simple: dict[str, Callable[[Known], Value]] = {
        "UID": lambda known: b"%d" % known.message.uid,
        "FLAGS": Known.flag_list,
        "RFC822.SIZE": lambda known: b"%d" % len(known.message.octets),
        "INTERNALDATE": lambda known: b'"' + known.message.date.encode() + b'"',
        "RFC822": lambda known: Literal(known.message.octets),
        "RFC822.HEADER": lambda known: Literal(section_of(known.message.octets, "HEADER")),
    }
    if name in simple:
        return _Item(name, simple[name], marks_seen=name == "RFC822")
    if name in ("BODY", "BODYSTRUCTURE", "ENVELOPE", "ALL", "FAST", "FULL"):
        raise BadCommand(f"this server has no {name}")
    return _Item(name, lambda known: _extra(known.message, name))


def _body_item(section: str, match: re.Match[str]) -> _Item:
    section_of(b"", section)
    if match[3] is None:
        return _Item(f"BODY[{section}]", lambda k: Literal(section_of(k.message.octets, section)), not match[1])
    start, stop = int(match[3]), int(match[3]) + int(match[4])
    return _Item(
        f"BODY[{section}]<{start}>",
        lambda known: Literal(section_of(known.message.octets, section)[start:stop]),
        not match[1],
    )


def _extra(message: Message, name: str) -> bytes:
    if name not in message.extra:
        raise BadCommand(f"unknown FETCH item {name}")
    return message.extra[name].encode()


def section_of(octets: bytes, section: str) -> bytes:
    if not section:
        return octets
    blank = _BLANK_LINE.search(octets)
    header = octets[: blank.end()] if blank else octets
    if section == "HEADER":
        return header
    if section == "TEXT":
        return octets[len(header) :]
    fields = re.fullmatch(r"HEADER\.FIELDS(\.NOT)? \(([^()]+)\)", section)
    if fields is None:
        raise BadCommand("this server has no parts of messages")
    wanted = {name.strip('"').encode() for name in fields[2].split()}
    lines = re.findall(rb"[^\r\n][^\n]*\n(?:[ \t][^\n]*\n)*", header)
    kept = [x for x in lines if (x.partition(b":")[0].rstrip().upper() in wanted) is not bool(fields[1])]
    return b"".join(kept) + b"\r\n"


def flag_list(text: bytes) -> list[str]:
    flags = text.decode("latin-1").removeprefix("(").removesuffix(")").split()
    for flag in flags:
        if not re.fullmatch(r"\\?[^\x00-\x20\x7f-\xff(){%*\"\\\]]+", flag):
            raise BadCommand("not a flag")
        if flag.startswith("\\") and canonical(flag) not in SYSTEM_FLAGS:
            raise BadCommand(f"{flag} cannot be set")
    return flags
