"""A PostgreSQL of the tests' own: in a folder in memory, on loopback, with a database for each test."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from tests.servers.machine import POLL_SECONDS, ended, fastest_place, find_program, free_ports, processes, wait
from tests.skipping import skip_unless_ci

ACCOUNT = "postgres"  # that Debian's package makes; PostgreSQL does not run as root
USER = "gateway"
PASSWORD = "hidden/of: the&state@"
ADDRESS = "127.0.0.1"
START_SECONDS = 20.0
STOP_SECONDS = 10.0


class Postgres:
    """Runs from the start; `down` is an immediate stop, as of a crash, and `up` recovers from it."""

    def __init__(self) -> None:
        psycopg()
        self._programs = programs()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._account = pwd.getpwnam(ACCOUNT) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir=fastest_place()))
        [self.port] = free_ports(ADDRESS, 1)
        try:
            self._own(self._folder)
            self.write("password", PASSWORD)
            self._run("initdb", "-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile=password", "-E", "UTF8")
            self.up()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return (self._folder / "output").read_text(errors="replace")

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{ADDRESS}:{self.port}/{database}"

    def new_database(self) -> str:
        """Its URL."""
        name = f"state{next(self._numbers)}"
        self.run("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def run(self, database: str, statement: str) -> list[Any]:
        """Rows, if it gives any; behind the gateways' backs."""
        url = database if "://" in database else self.url(database)
        with contextlib.closing(psycopg().connect(url, autocommit=True)) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def write(self, name: str, text: str) -> str:
        """A file that the server's account may read; its path."""
        path = self._folder / name
        path.write_text(text)
        self._own(path)
        return str(path)

    def up(self) -> None:
        if self._process is not None:
            return
        place = ("-h", ADDRESS, "-p", str(self.port), "-k", str(self._folder))
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                (self._programs / "postgres", "-D", "data", *place),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self.as_account(),
            )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if ended(self._process) or time.monotonic() > end:
                self.down()
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log}")
            time.sleep(POLL_SECONDS)

    def down(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, signal.SIGCONT)
        os.kill(process.pid, signal.SIGQUIT)
        is_down = wait(lambda: not processes(process.pid), STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not is_down:
            raise RuntimeError(f"PostgreSQL does not end:\n{self.log}")

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Its connections stay, and nothing is answered."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        for number in self._backends():
            os.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            for number in self._backends():
                os.kill(number, signal.SIGCONT)
            os.killpg(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        try:
            self.down()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _backends(self) -> list[int]:
        """Each has a process group of its own."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(number) for number in children.split()]

    def _answers(self) -> bool:
        try:
            self.run("postgres", "SELECT 1")
        except psycopg().OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = (str(self._programs / program), *arguments)
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, **self.as_account())
        assert done.returncode == 0, done.stderr

    def as_account(self) -> dict[str, Any]:
        """For Popen."""
        if os.geteuid() != 0:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)


def psycopg() -> Any:
    try:
        import psycopg as found  # noqa: PLC0415 - the tests run without it, too
    except ImportError:
        skip_unless_ci("no psycopg here: pip install '.[postgresql]'")
    return found


def programs() -> Path:
    """Where Debian has them: a folder for each version, and none in PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    path = find_program("initdb")
    if path is None:
        skip_unless_ci("no PostgreSQL on this machine: apt-get install postgresql")
    return Path(path).resolve().parent
