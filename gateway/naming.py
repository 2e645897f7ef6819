"""What a login name says: taken apart by a pattern, put together by a template, and which hosts it may lead to.

A pattern like `{user}@{domain}` gives values, a template like `imaps://imap.{domain}` takes them. Between them is
a rule (`Rule`): at most one question, to a table, to DNS, to a service or to a database, which gives more values.
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

CAPTURED = ("user", "domain", "host", "folder")  # what a pattern may take out of a name
SCHEMES = {"imaps": "993", "imap": "143"}
HOST_LETTERS = 253  # RFC 1035 section 2.3.4, as text

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_STRAY = re.compile(r"[{}]")
_HOSTS = frozenset({"domain", "host"})
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What the resolver would take for an address, however it is written: 127.1, 0x7f.1, 2130706433.
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_SMALL = str.maketrans({chr(letter): chr(letter + 32) for letter in range(ord("A"), ord("Z") + 1)})

Values = dict[str, str]


class Unfit(ValueError):
    """A value cannot stand where a template wants it."""


def is_plain(name: str) -> bool:
    """Whether it can be somebody's name at all: it has no controls, which nobody could type."""
    return not _CONTROL.search(name)


def host_name(text: str) -> str | None:
    """As DNS has it: small letters, A-labels (RFC 5890), no dot at the end. None for an address and no host."""
    try:
        name = text.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    labels = name.split(".")
    if len(name) > HOST_LETTERS or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return None if _NUMBER.fullmatch(labels[-1]) else name


def perhaps_one(name: str) -> str:
    """The same for names that a mail server may take for one: ann and ann+list, a domain with a dot behind it.

    Strangers' guesses at all of them count together, or there would be no end of names to guess at one account by.
    """
    local, at, domain = name.strip(" .").rpartition("@")
    local, domain = (local, domain) if at else (domain, "")
    return f"{local.partition('+')[0] or local}{at}{host_name(domain) or domain}"


def address(text: str) -> IPv4Address | IPv6Address | None:
    """192.0.2.1, 2001:db8::1 or [2001:db8::1]."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return ip_address(bare)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Hosts:
    """Those that a name may lead to: names, `*.example.org` for all below it, and addresses."""

    written: tuple[str, ...]

    @classmethod
    def of(cls, written: tuple[str, ...]) -> "Hosts":
        """Raises ValueError."""
        for entry in written:
            if address(entry) is None and host_name(entry.removeprefix("*.")) is None:
                raise ValueError(
                    f"{entry!r} is no host; write it like imap.example.org, *.example.org or 192.0.2.1"
                )
        return cls(written)

    def __bool__(self) -> bool:
        return bool(self.written)

    def __str__(self) -> str:
        return ", ".join(self.written)

    def allow(self, host: str) -> bool:
        """An address only where it is listed itself: no name says whose it is."""
        known = address(host)
        if known is not None:
            return any(address(entry) == known for entry in self.written)
        name = host_name(host)
        return name is not None and any(_covers(entry, name) for entry in self.written)


def _covers(entry: str, name: str) -> bool:
    known = host_name(entry.removeprefix("*."))
    if known is None:
        return False
    return name.endswith(f".{known}") if entry.startswith("*.") else name == known


@dataclass(frozen=True, slots=True)
class Pattern:
    """A form of a login name. `pieces` alternate: text, placeholder, text, …, text."""

    pieces: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Pattern":
        """Raises ValueError."""
        pieces = _pieces(text)
        names = pieces[1::2]
        allowed = ("name",) if text == "{name}" else CAPTURED
        for name in names:
            if name not in allowed:
                raise ValueError(f"{{{name}}} cannot be taken out of a name; there is {_listed(CAPTURED)}")
            if names.count(name) > 1:
                raise ValueError(f"{{{name}}} is there twice")
        if "" in pieces[2:-1:2]:
            raise ValueError(
                f"{text!r}: something has to stand between two placeholders, as in {{user}}@{{domain}}"
            )
        return cls(pieces)

    @property
    def names(self) -> frozenset[str]:
        """What it takes out."""
        return frozenset(self.pieces[1::2]) - {"name"}

    def take_apart(self, name: str) -> Values | None:
        """What stands for the placeholders, and `name`. The last @ counts, and no placeholder stands for nothing.

        The text between them is compared without regard to case. What is to be a host has to look like one.
        """
        small = name.translate(_SMALL)  # as long as the name, which casefold() need not be
        first, last = self.pieces[0].translate(_SMALL), self.pieces[-1].translate(_SMALL)
        if len(self.pieces) == 1:
            return {"name": name} if small == first else None
        if len(name) < len(first) + len(last) or not (small.startswith(first) and small.endswith(last)):
            return None
        begin, end = len(first), len(name) - len(last)
        found = {"name": name}
        for index in range(len(self.pieces) - 2, 1, -2):  # from the right
            text = self.pieces[index - 1].translate(_SMALL)
            at = small.rfind(text, begin, end)
            if at < 0:
                return None
            found[self.pieces[index]] = name[at + len(text) : end]
            end = at
        found[self.pieces[1]] = name[begin:end]
        return found if all(_fits(key, value) for key, value in found.items()) else None


def _fits(key: str, value: str) -> bool:
    if key in _HOSTS:
        return host_name(value) is not None or address(value) is not None
    return bool(value)


@dataclass(frozen=True, slots=True)
class Template:
    """Text with placeholders. `pieces` as in Pattern."""

    pieces: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Template":
        """Raises ValueError."""
        return cls(_pieces(text))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.pieces[1::2])

    def demand(self, known: frozenset[str]) -> None:
        """Raises ValueError where it wants what nothing gives."""
        for name in sorted(self.names - known):
            raise ValueError(f"nothing gives {{{name}}} here; there is {_listed(sorted(known))}")

    def fill(self, values: Values) -> str:
        """Raises Unfit where a value is missing."""
        return "".join(_value(piece, values) if index % 2 else piece for index, piece in enumerate(self.pieces))

    def fill_url(self, values: Values) -> str:
        """Nothing that is filled in can be more than a host, a port or a scheme. Raises Unfit."""
        return self.fill({name: _in_url(name, _value(name, values)) for name in self.pieces[1::2]})


def _value(name: str, values: Values) -> str:
    if name not in values:
        raise Unfit(f"there is no {name}")
    return values[name]


def _in_url(name: str, value: str) -> str:
    if name == "scheme":
        if value not in SCHEMES:
            raise Unfit(f"the scheme is {_short(value)}, not {' or '.join(SCHEMES)}")
        return value
    if name == "port":
        if not re.fullmatch(r"[0-9]{1,5}", value) or not 0 < int(value) < 65536:
            raise Unfit(f"{_short(value)} is no port")
        return value
    literal = address(value)
    if isinstance(literal, IPv6Address):
        if literal.scope_id is not None:
            raise Unfit(f"{_short(value)} is no host")
        return f"[{literal}]"
    host = str(literal) if literal else host_name(value)
    if host is None:
        raise Unfit(f"{_short(value)} is no host")
    return host


def _short(value: str) -> str:
    """For a log."""
    return repr(value if len(value) <= 100 else f"{value[:100]}…")


def _pieces(text: str) -> tuple[str, ...]:
    pieces = tuple(_PLACEHOLDER.split(text))
    for literal in pieces[::2]:
        if _STRAY.search(literal):
            raise ValueError(f"{text!r}: braces stand around a placeholder only, as in {{user}}")
    return pieces


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


# What a rule may ask


@dataclass(frozen=True, slots=True)
class Table:
    """In the settings."""

    upstreams: Values  # URLs, by key in small letters
    key: Template


@dataclass(frozen=True, slots=True)
class Srv:
    """DNS, as RFC 6186 has it."""

    domain: Template


@dataclass(frozen=True, slots=True)
class Http:
    """A service that speaks the protocol of nginx's mail proxy."""

    url: str
    ca_file: str | None = None  # a path
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # besides, which may be secret


@dataclass(frozen=True, slots=True)
class Sql:
    """A database. The URL may have a password in it."""

    url: str = field(repr=False)
    query: "Query"


@dataclass(frozen=True, slots=True)
class Query:
    """A statement whose placeholders become parameters. `pieces` as in Pattern."""

    pieces: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Query":
        """Raises ValueError. Braces that are no placeholder are SQL's own."""
        pieces = tuple(_PLACEHOLDER.split(text))
        if "?" in text:
            raise ValueError("a question mark cannot stand here; jsonb_exists() is the operator's other name")
        if len(pieces) == 1:
            raise ValueError("it asks the same for every name; write {name} where the name is to stand")
        for index, name in enumerate(pieces[1::2]):
            if pieces[2 * index].endswith(("'", '"')) or pieces[2 * index + 2].startswith(("'", '"')):
                raise ValueError(f"{{{name}}} stands without quotes: it is a parameter, not text")
        return cls(pieces)

    @property
    def names(self) -> tuple[str, ...]:
        """In their order, as often as they come."""
        return self.pieces[1::2]

    def statement(self) -> str:
        """With ? for each parameter."""
        return "?".join(self.pieces[::2])


Question = Table | Srv | Http | Sql


@dataclass(frozen=True, slots=True)
class Rule:
    """One route, as the settings have it."""

    place: str  # in the settings: routes[2]
    match: Pattern
    question: Question | None = None
    upstream: Template | None = None  # None: what the answer has, or the usual one
    user: Template | None = None  # None: what the answer has, or the name as the client says it
    folder: Template | None = None  # None: what the answer or the name has, or the usual one
    hosts: Hosts = Hosts(())  # that may come out; none: all
