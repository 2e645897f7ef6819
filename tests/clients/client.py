"""What every client in this folder offers, so that one test runs with all of them."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from tests.servers.fixtures import Mailbox

Tls = Literal["none", "stls", "pop3s"]

SECONDS = 60  # for one run of a client, whatever it does

SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the gateway listens, under a name that its certificate bears."""

    port: int
    tls_port: int
    ca_file: Path
    host: str = "localhost"

    def port_for(self, tls: Tls) -> int:
        return self.tls_port if tls == "pop3s" else self.port


class Trouble(Enum):
    """Why a run cannot go well."""

    WRONG_PASSWORD = auto()
    IN_USE = auto()
    UPSTREAM_DOWN = auto()
    UNTRUSTED = auto()  # the certificate


class Failed(Exception):
    """The client says that it failed: with this exit status (an exception's name, in Python), and these words."""

    def __init__(self, status: int | str, output: str) -> None:
        super().__init__(f"{status}\n{output}")
        self.status = status
        self.output = output


class Client(Protocol):
    """A mail program, with a home folder to itself for its configuration and what it remembers.

    To make one skips the test where the program is not installed.
    """

    ways: ClassVar[Sequence[Tls]]  # to connect; "none" is possible only from loopback
    statuses: ClassVar[Mapping[Trouble, int | str]]  # how it calls each trouble

    def __init__(self, home: Path) -> None: ...

    def fetch_all(self, site: Site, mailbox: Mailbox, *, tls: Tls, delete: bool) -> list[bytes]:
        """Every message, as the client stored it, in the order in which they arrived. Raises Failed."""

    def as_stored(self, octets: bytes) -> bytes:
        """What the client is known to make of a message that arrived so."""


class Remembering(Client, Protocol):
    """A client that keeps the unique-ids of what it has."""

    def fetch_new(self, site: Site, mailbox: Mailbox, *, tls: Tls) -> list[bytes]:
        """What it has not seen yet; all is kept on the server."""


def run(command: Sequence[str | Path], home: Path, *, also_fine: Sequence[int] = ()) -> str:
    """Run a client to its end and return what it wrote. It gets no home but this, nor our environment."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        command,
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
    )
    output = done.stdout.decode(errors="replace")
    if done.returncode and done.returncode not in also_fine:
        raise Failed(done.returncode, output)
    return output


def write_private(path: Path, text: str) -> None:
    """Clients refuse configuration files with passwords in them that others may read."""
    path.touch(mode=0o600)
    path.write_text(text)


# Called by clients that hand each message to a program: $1 is the folder, standard input the message.
# With what the shell has itself: hundreds of messages want hundreds of processes already.
_STORE = """\
folder=$1
set -- "$folder"/*
[ -e "$1" ] || shift
exec cat > "$folder/$((1000000 + $#))"
"""


class Inbox:
    """Where a client puts what it fetches: a file for each message, numbered as they arrive."""

    def __init__(self, home: Path, *, first: str = "") -> None:
        """`first` is what the script does before all else."""
        self.folder = home / "inbox"
        self.folder.mkdir()
        self.script = home / "store"
        self.script.write_text(first + _STORE)

    @property
    def command(self) -> str:
        """A shell command that stores one message."""
        return f"{SHELL} {self.script} {self.folder}"

    def take(self) -> list[bytes]:
        """What has arrived since the last call."""
        paths = sorted(self.folder.iterdir())
        messages = [path.read_bytes() for path in paths]
        for path in paths:
            path.unlink()
        return messages
