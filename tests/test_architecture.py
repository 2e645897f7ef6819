"""The arrows between the rooms point inward, and nothing grows too large to read."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

GATEWAY = Path(__file__).parents[1] / "gateway"
FILE_LINES = 350
FUNCTION_LINES = 45

# Which rooms a room may import, besides itself. An arrow that is not here is not allowed, nor is a room.
ARROWS: dict[str, set[str]] = {
    "__main__": {"cli"},
    # `check` looks at an upstream and a certificate without a gateway around them.
    "cli": {
        "accounts",
        "enrolment",
        "app",
        "config",
        "errors",
        "imap",
        "maildrop",
        "oauth",
        "ports",
        "sasl",
        "server",
        "telemetry",
        "workers",
    },
    "app": {
        *("accounts", "config", "enrolment", "errors", "guesses", "imap", "maildrop", "oauth", "ports", "web"),
        *("remembered", "routes", "sasl", "server", "session", "store", "telemetry", "threads", "workers"),
    },
    "web": {"enrolment", "errors", "networks", "ports", "sasl", "server", "telemetry", "threads"},
    "enrolment": {"accounts", "errors", "maildrop", "oauth", "ports", "sasl"},
    "workers": {"errors", "server", "telemetry"},
    "server": {"errors", "networks", "pop3", "ports", "session", "telemetry", "transfer"},
    "session": {"authorization", "errors", "maildrop", "pop3", "ports", "telemetry", "transfer"},
    "authorization": {"errors", "maildrop", "pop3", "ports", "sasl", "telemetry"},
    "transfer": {"errors", "pop3", "ports"},
    "remembered": {"errors", "maildrop", "ports", "telemetry", "threads"},
    "imap": {"errors", "maildrop", "ports", "sasl", "telemetry", "threads"},
    "accounts": {"errors", "guesses", "maildrop", "naming", "networks", "ports", "sasl", "telemetry", "threads"},
    "routes": {"errors", "naming", "ports", "sasl", "threads"},
    "store": {"errors", "maildrop", "ports", "sasl"},
    "oauth": {"errors", "maildrop", "naming", "ports", "sasl", "telemetry"},
    # The settings choose among the providers that oauth knows.
    "config": {"errors", "guesses", "maildrop", "naming", "networks", "oauth", "ports", "sasl"},
    "telemetry": set(),
    "ports": {"errors", "maildrop", "sasl"},
    "pop3": {"errors"},
    "sasl": {"errors"},
    "maildrop": {"errors"},
    "threads": {"errors"},
    "guesses": set(),
    "naming": set(),
    "networks": set(),
    "errors": set(),
    "__init__": set(),
}

# Who may import a package from elsewhere, and the modules of the standard library that do a package's work.
PACKAGES: dict[str, set[str]] = {
    "imapclient": {"imap"},
    "imaplib": {"imap"},
    "yaml": {"config"},
    "pydantic": {"config"},
    "pydantic_core": {"config"},
    "structlog": {"telemetry"},
    "cryptography": {"oauth", "server", "store"},
    "argon2": {"accounts"},
    "psycopg": {"store"},
    "sqlite3": {"store"},
    "dns": {"oauth", "routes"},
    "httpx": {"routes"},
    "httpcore": {"oauth"},
    "authlib": {"oauth"},
    "joserfc": {"oauth"},
    "h11": {"web"},
    "jinja2": {"web"},
    "click": {"cli"},
    "rich": {"cli"},
    "segno": {"cli"},
    "uvloop": {"cli"},
    # The demo's IMAP server.
    "pymap": {"cli"},
    "pysasl": {"cli"},
    "proxyprotocol": {"cli"},
}

# What the pure rooms may have of the standard library: nothing that waits, looks at a clock, or touches the world.
PURE_ROOMS = ("errors", "guesses", "maildrop", "naming", "networks", "pop3", "sasl")
PURE_MODULES = {
    *("array", "base64", "binascii", "bisect", "collections", "dataclasses", "enum", "functools", "hashlib"),
    *("hmac", "ipaddress", "itertools", "math", "operator", "re", "string", "struct", "types", "typing"),
    *("stringprep", "unicodedata"),
}

# Who may look at the environment: config is given it by cli, and store finds the user's own state folder there.
ENVIRONMENT_READERS = {"cli/options.py", "store/folder.py"}


@dataclass(frozen=True, slots=True)
class Import:
    room: str
    module: str
    place: str

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @property
    def inner_room(self) -> str | None:
        """The room of ours that is imported; None for a module from elsewhere."""
        if self.package != "gateway":
            return None
        room = (*self.module.split("."), "__init__")[1]
        return "__init__" if room.startswith("__version") else room


def files() -> list[Path]:
    return sorted(GATEWAY.rglob("*.py"))


def shown(file: Path) -> str:
    return file.relative_to(GATEWAY).as_posix()


def room_of(file: Path) -> str:
    return file.relative_to(GATEWAY).parts[0].removesuffix(".py")


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        name = "." * node.level + (node.module or "")
        yield from (f"gateway.{alias.name}" for alias in node.names) if name == "gateway" else (name,)


def imports() -> list[Import]:
    return [
        Import(room_of(file), module, f"{shown(file)}:{node.lineno}")
        for file in files()
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in modules(node)
    ]


def test_the_walk_sees_imports() -> None:
    assert Import("app", "gateway.session", "") in [Import(i.room, i.module, "") for i in imports()]


def test_every_room_is_in_the_table() -> None:
    assert {room_of(file) for file in files()} == set(ARROWS)


def test_imports_are_absolute() -> None:
    assert not [found for found in imports() if found.module.startswith(".")]


def test_every_arrow_is_in_the_table() -> None:
    wrong = [
        f"{found.place}: {found.room} → {room}"
        for found in imports()
        if (room := found.inner_room) is not None and room not in {*ARROWS[found.room], found.room, "__init__"}
    ]
    assert not wrong


def test_the_table_itself_has_no_circle() -> None:
    left = dict(ARROWS)
    while left:
        free = [room for room, targets in left.items() if not targets & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for room in free:
            del left[room]


def test_every_package_is_imported_only_where_the_table_says() -> None:
    wrong = [
        f"{found.place}: {found.module}"
        for found in imports()
        if found.package != "gateway"
        and (found.package in PACKAGES or found.package not in sys.stdlib_module_names)
        and found.room not in PACKAGES.get(found.package, set())
    ]
    assert not wrong


@pytest.mark.parametrize("room", PURE_ROOMS)
def test_a_pure_room_has_no_clock_no_socket_no_thread_no_file(room: str) -> None:
    wrong = [
        f"{found.place}: {found.module}"
        for found in imports()
        if found.room == room and found.package not in {*PURE_MODULES, "gateway"}
    ]
    assert not wrong


def test_pure_rooms_do_not_import_each_other() -> None:
    pure = {"pop3", "sasl", "maildrop"}
    assert not [found for found in imports() if found.room in pure and found.inner_room in pure - {found.room}]


def test_only_the_composition_root_knows_who_stands_behind_a_protocol() -> None:
    for room in ("imap", "accounts", "routes", "store"):
        others = {"session", "server", "app", "cli", "imap", "accounts", "routes", "store"} - {room}
        assert not ARROWS[room] & others


def test_only_the_command_line_imports_the_app_and_only_main_imports_the_command_line() -> None:
    assert [room for room, targets in ARROWS.items() if "app" in targets] == ["cli"]
    assert [room for room, targets in ARROWS.items() if "cli" in targets] == ["__main__"]


def test_the_environment_is_read_in_the_named_places_only() -> None:
    readers = {
        shown(file)
        for file in files()
        for node in ast.walk(parsed(file))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"))
        or (isinstance(node, ast.ImportFrom) and {"environ", "getenv"} & {alias.name for alias in node.names})
    }
    assert readers == ENVIRONMENT_READERS


@pytest.mark.parametrize("file", files(), ids=shown)
def test_a_file_is_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= FILE_LINES


def test_functions_are_short() -> None:
    long = [
        f"{shown(file)}:{node.lineno} {node.name}: {lines}"
        for file in files()
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert not long
