"""Runs an image as ``docker run --read-only --cap-drop ALL --security-opt no-new-privileges`` would.

util-linux is all it takes: namespaces of its own for mounts, processes and, if wanted, the network; the image's
files bound read-only; the state volume, ``/tmp`` and the files that a test lends on top; the image's user.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 20.0
STOP_SECONDS = 40.0
POLL_SECONDS = 0.01

# As root in the new namespaces. A bind mount takes its read-only flag only when it is mounted once more.
PREPARE = """\
set -eu
root=$1 state=$2 volume=$3; shift 3
if [ -n "$LOOPBACK" ]; then eval "$LOOPBACK"; fi
mount --bind "$root" "$root"
mount -o remount,bind,ro,nosuid "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
for device in null zero random urandom; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs "$root/tmp"
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs "$root/dev/shm"
mount --bind "$state" "$root$volume"
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    mount -o remount,bind,ro "$root$2"
    shift 2
done
shift
exec chroot "$root" "$@"
"""

# A new network namespace has its loopback interface down: SIOCSIFFLAGS, IFF_UP | IFF_RUNNING.
LOOPBACK_UP = (
    "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 0x41))"
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image's files on disk, and what it says about itself in Docker's words."""

    root: Path
    description: Mapping[str, Any]

    @property
    def config(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.description["config"]
        return found

    @property
    def volume(self) -> str:
        [path] = self.config["Volumes"]
        return str(path)

    def new_volume(self, folder: Path) -> Path:
        """A volume as an engine makes it: with the owner and the mode that the folder has in the image."""
        folder.mkdir()
        like = Path(f"{self.root}{self.volume}").stat()
        os.chown(folder, like.st_uid, like.st_gid)
        folder.chmod(like.st_mode & 0o7777)
        return folder


@dataclass
class Container:
    """One run of an image. ``lent`` are files or folders of this machine, by their path inside."""

    image: Image
    state: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    lent: Mapping[str, Path] = field(default_factory=dict)
    own_network: bool = False
    _process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator["Container"]:
        """Start entrypoint and command; when the block ends without ``stop`` it is killed."""
        config = self.image.config
        with self.log.open("wb") as log:
            command = self._start([*config["Entrypoint"], *config["Cmd"]])
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield self
        finally:
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError, RuntimeError):
                    os.kill(self.pid, signal.SIGKILL)
                self._process.wait(STOP_SECONDS)

    def once(self, command: Sequence[str], *, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """A container that runs this command instead of the gateway."""
        return subprocess.run(self._start(command), capture_output=True, text=True, timeout=seconds)

    def inside(self, command: Sequence[str], *, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """As ``docker exec``: another process in the running container."""
        return subprocess.run(self._enter(command), capture_output=True, text=True, timeout=seconds)

    @contextlib.contextmanager
    def inside_meanwhile(self, command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        """The same for a process that goes on while the block runs; it ends with the container at the latest."""
        with subprocess.Popen(
            self._enter(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as it:
            yield it

    def until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while (answer := self.inside(self.health_command)).returncode:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"not healthy: {answer.stdout} {answer.stderr}\n{self.log.read_text()}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> int:
        """Send the image's stop signal, as ``docker stop``; the exit status."""
        assert self._process is not None
        os.kill(self.pid, signal.Signals[self.image.config["StopSignal"]])
        return self._process.wait(STOP_SECONDS)

    @property
    def health_command(self) -> list[str]:
        kind: str
        command: list[str]
        kind, *command = self.image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return command

    @property
    def pid(self) -> int:
        """The gateway's, which is 1 inside."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while time.monotonic() < deadline and self._process.poll() is None:
            # Not before it is inside: until then its root is this machine's.
            found = children.read_text().split()
            if found and self.image.root.samefile(f"/proc/{found[0]}/root"):
                return int(found[0])
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"the container did not start:\n{self.log.read_text()}")

    def _start(self, command: Sequence[str]) -> list[str]:
        # Names of this machine: an engine provides these two as well.
        lent = {"/etc/hosts": Path("/etc/hosts"), **self.lent}
        mounts = [str(part) for inside, outside in lent.items() for part in (outside, inside)]
        loopback = shlex.join([sys.executable, "-c", LOOPBACK_UP]) if self.own_network else ""
        network = ["--net"] if self.own_network else []
        unshare = [
            "env",
            f"LOOPBACK={loopback}",
            "unshare",
            "--mount",
            "--pid",
            "--ipc",
            "--uts",
            *network,
            "--fork",
        ]
        prepare = ["sh", "-c", PREPARE, "prepare", str(self.image.root), str(self.state), self.image.volume]
        return [*unshare, *prepare, *mounts, "--", *self._as_user(command)]

    def _enter(self, command: Sequence[str]) -> list[str]:
        network = ["--net"] if self.own_network else []
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--ipc", "--uts", *network, "--root"]
        return [*enter, "--", *self._as_user(command)]

    def _as_user(self, command: Sequence[str]) -> list[str]:
        """The image's user without any privilege, its folder, its environment and nothing of ours."""
        user, _, group = self.image.config["User"].partition(":")
        identity = ["--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs"]
        nothing = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        settings = [*self.image.config["Env"], *(f"{name}={value}" for name, value in self.environment.items())]
        folder = f"--chdir={self.image.config['WorkingDir']}"
        return ["setpriv", *identity, *nothing, "env", "--ignore-environment", folder, *settings, *command]
