"""Builds the project's image as a packager would, without a container engine and without a registry.

The base comes from Debian by ``debootstrap``, from the mirror that this machine's apt uses; ``buildah`` builds
on it. Both keep what they made under ``.cache/container``, so that only the first run is slow.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.container.sandbox import Image

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache" / "container"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
# Of what debootstrap makes: as in Debian's own slim images, and half of all files.
USELESS = (
    *("dev", "proc", "sys", "var/cache/apt", "var/lib/apt/lists", "var/log"),
    *("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man"),
)
TAG = "localhost/pop3-gateway:test"
BASE_SECONDS = 400
BUILD_SECONDS = 400

# What of pip's settings says where packages come from; the rest is this machine's own business.
PIP_SOURCES = frozenset(
    {
        *("index-url", "extra-index-url", "find-links", "no-index"),
        *("cert", "client-cert", "trusted-host", "proxy", "timeout", "default-timeout", "retries"),
    }
)


def run(command: Sequence[str | Path], *, seconds: float = 60, **more: Any) -> str:
    """Run a command; what it printed, or an error that shows all it said."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds, **more
    )
    if done.returncode:
        said = f"{done.stdout[-20_000:]}\n{done.stderr[-20_000:]}"
        raise AssertionError(f"{shlex.join(map(str, command))} → {done.returncode}\n{said}")
    return done.stdout


class Storage:
    """Where buildah keeps images: overlay mounts where the kernel lets us, else copies of all files (vfs)."""

    def __init__(self, run_root: Path) -> None:
        self.driver = "overlay" if _can_overlay() else "vfs"
        root = CACHE / f"storage-{self.driver}"
        self._options = ("--storage-driver", self.driver, "--root", root, "--runroot", run_root)

    def __call__(self, *arguments: str | Path, seconds: float = 60) -> str:
        environment = {**os.environ, "TMPDIR": str(CACHE / "tmp")}
        return run(("buildah", *self._options, *arguments), seconds=seconds, env=environment)

    def images(self) -> dict[str, str]:
        """The identifiers of all images that have a name."""
        lines = self("images", "--no-trunc", "--format", "{{.Name}}:{{.Tag}} {{.ID}}").splitlines()
        return dict(line.split() for line in lines)


@contextlib.contextmanager
def built() -> Iterator[Image]:
    """Build the image from the source as it is now, unpacked for as long as the block lasts.

    Two test runs in one checkout share the cache: one after the other.
    """
    (CACHE / "tmp").mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock, tempfile.TemporaryDirectory(prefix="buildah-") as run_root:
        fcntl.flock(lock, fcntl.LOCK_EX)
        buildah = Storage(Path(run_root))
        # Whatever a run left behind that was killed.
        buildah("rm", "--all")
        identifier = _build(buildah)
        found = json.loads(buildah("inspect", "--type", "image", identifier))
        container = buildah("from", "--pull-never", identifier).strip()
        try:
            root = Path(buildah("mount", container).strip())
            # Every engine provides this file; the sandbox only binds over what is there.
            (root / "etc" / "hosts").touch()
            yield Image(root, found["Docker"])
        finally:
            buildah("rm", container)


def _build(buildah: Storage) -> str:
    base = _base(buildah)
    before = buildah.images().get(TAG)
    with _pip_settings() as pip:
        options = ["--format", "docker", "--isolation", "chroot", "--network", "host", "--quiet", "--tag", TAG]
        # Only with overlay is a layer cheaper than what it saves.
        options.append(f"--layers={str(buildah.driver == 'overlay').lower()}")
        buildah("bud", *options, "--build-arg", f"BASE={base}", *pip, REPOSITORY, seconds=BUILD_SECONDS)
    identifier = buildah.images()[TAG]
    if before not in (identifier, None):
        buildah("rmi", before)
    return identifier


def _can_overlay() -> bool:
    """Whether an overlay can be mounted on the cache's file system: not where that is an overlay itself."""
    with tempfile.TemporaryDirectory(dir=CACHE / "tmp", prefix="overlay-") as folder:
        lower, upper, work, merged = (Path(folder, name) for name in ("lower", "upper", "work", "merged"))
        for path in (lower, upper, work, merged):
            path.mkdir()
        where = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mount = ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", where, str(merged)]
        return subprocess.run(mount, capture_output=True).returncode == 0


# The base


def _base(buildah: Storage) -> str:
    """The name of an image with what the Dockerfile expects of BASE; made when it is not there."""
    suite, mirror = _debian()
    made_of = hashlib.sha256(repr((suite, PACKAGES, USELESS)).encode()).hexdigest()[:12]
    name = f"localhost/base-{suite}:{made_of}"
    if name in buildah.images():
        return name
    archive = CACHE / f"base-{suite}-{made_of}.tar"
    if not archive.exists():
        _bootstrap(archive, suite, mirror)
    container = buildah("from", "scratch").strip()
    try:
        buildah("add", container, archive, "/", seconds=BASE_SECONDS)
        buildah("commit", "--format", "docker", container, name, seconds=BASE_SECONDS)
    finally:
        buildah("rm", container)
    return name


def _debian() -> tuple[str, str]:
    """The release that this machine runs, and the mirror that its apt would ask for that."""
    suite = run(["sh", "-c", '. /etc/os-release && echo "$VERSION_CODENAME"']).strip()
    # Lists the addresses only; unlike ``indextargets`` it knows them before the first update too.
    addresses = run(["apt-get", "update", "--print-uris"])
    found = re.search(rf"'([^']+)/dists/{re.escape(suite)}/InRelease'", addresses)
    if found is None:
        raise AssertionError(f"apt has no source for {suite}:\n{addresses}")
    return suite, found[1]


def _bootstrap(archive: Path, suite: str, mirror: str) -> None:
    include = f"--include={','.join(PACKAGES)}"
    with tempfile.TemporaryDirectory(dir=CACHE / "tmp", prefix="base-", ignore_cleanup_errors=True) as folder:
        command = ["debootstrap", "--variant=minbase", include, suite, folder, mirror]
        try:
            run(command, seconds=BASE_SECONDS, env=_with_proxy_of_apt())
        except AssertionError as error:
            log = Path(folder, "debootstrap", "debootstrap.log")
            error.add_note(log.read_text(errors="replace")[-5000:] if log.exists() else "debootstrap left no log")
            raise
        # A folder of this kind is 0700; the image's root must be open to the image's user.
        os.chmod(folder, 0o755)
        new = archive.with_suffix(".new")
        options = ["--create", "--file", str(new), "--directory", folder]
        run(["tar", *options, *(f"--exclude=./{path}/*" for path in USELESS), "."])
        new.replace(archive)


def _with_proxy_of_apt() -> dict[str, str]:
    """debootstrap downloads with wget, which does not read apt's configuration."""
    proxy = run(["apt-config", "shell", "PROXY", "Acquire::http::Proxy/f"]).strip()
    named = {"http_proxy": shlex.split(proxy.partition("=")[2])[0]} if proxy else {}
    return {**named, **os.environ, "DEBIAN_FRONTEND": "noninteractive"}


# How this machine's pip finds packages, lent to the build


@contextlib.contextmanager
def _pip_settings() -> Iterator[list[str]]:
    """Options for ``buildah bud``: pip's settings as a secret, and each file that they name at the same place."""
    settings = pip_sources()
    with tempfile.TemporaryDirectory(dir=CACHE / "tmp", prefix="pip-") as folder:
        configuration = Path(folder, "pip.conf")
        lines = (f"{key} = {_continued(values)}\n" for key, values in settings.items())
        configuration.write_text("[global]\n" + "".join(lines))
        options = ["--secret", f"id=pip,src={configuration}"]
        for path in sorted({path for values in settings.values() for value in values if (path := _local(value))}):
            options += ["--volume", f"{path}:{path}:ro"]
        yield options


def pip_sources() -> dict[str, list[str]]:
    """Where pip looks for packages on this machine: its files and its environment, as it sums them up."""
    for pip in ([sys.executable, "-m", "pip"], ["pip"], ["pip3"]):
        with contextlib.suppress(AssertionError, FileNotFoundError):
            lines = run([*pip, "config", "list"], cwd="/").splitlines()
            break
    else:
        return {}
    found: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in PIP_SOURCES:
            known = found.setdefault(key, [])
            known += [word for word in value.strip("'\"").replace("\\n", " ").split() if word not in known]
    return found


def _continued(values: Sequence[str]) -> str:
    return "\n    ".join(values)


def _local(value: str) -> Path | None:
    """The file or folder of this machine that a setting of pip means."""
    if value.startswith("file:///"):
        # The pages of an index link to files beside its own folder.
        folder = Path(value.removeprefix("file://"))
        return folder.parent if folder.parent.parent != folder.parent else folder
    path = Path(value)
    return path if path.is_absolute() and path.exists() else None
