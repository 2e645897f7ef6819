"""The container image, built and run for real; ``image.py`` and ``sandbox.py`` do it without an engine."""

import contextlib
import json
import os
import poplib
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.container import image
from tests.container.sandbox import Container, Image
from tests.servers.dovecot import Dovecot
from tests.servers.fixtures import Mailbox, requires
from tests.servers.tls import Certificates
from tests.skipping import skip_unless_ci

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]

MESSAGE = (
    b"From: a@example.org\r\nSubject: through the image\r\n\r\n.a line that begins with a dot\r\n.\r\nend\r\n"
)
CONFIGURATION = "/etc/pop3-gateway/gateway.yaml"
ENVIRONMENT = "/opt/pop3-gateway"

New = Callable[..., Container]


@pytest.fixture(scope="module")
def built() -> Iterator[Image]:
    for program, package in (("buildah", "buildah"), ("debootstrap", "debootstrap"), ("nsenter", "util-linux")):
        requires(program, package)
    if os.geteuid() != 0:
        skip_unless_ci("only root can bootstrap, mount and chroot")
    with image.built() as found:
        yield found


@pytest.fixture
def new(built: Image, tmp_path: Path) -> New:
    """Make a container with an empty volume; it runs in a ``with`` block."""

    def make(**more: object) -> Container:
        return Container(built, built.new_volume(tmp_path / "state"), tmp_path / "log", **more)  # type: ignore[arg-type]

    return make


@pytest.fixture
def by_itself(new: New) -> Iterator[Container]:
    """Running as it is, with the one setting that it needs, in a network where nobody else is."""
    container = new(environment={"POP3_GATEWAY_UPSTREAM": "imaps://imap.example.com"}, own_network=True)
    with container.running():
        container.until_healthy()
        yield container


# What the image says and holds


def test_configuration_is_what_an_orchestrator_needs(built: Image) -> None:
    config = built.config
    assert config["User"] == "10110:10110"
    assert config["Volumes"] == {"/var/lib/pop3-gateway": {}}
    assert config["ExposedPorts"] == {"1110/tcp": {}, "1995/tcp": {}}
    assert config["Entrypoint"] == ["pop3-gateway"]
    assert config["Cmd"] == ["serve"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "pop3-gateway", "health"]
    assert config["Labels"]["org.opencontainers.image.title"] == "pop3-gateway"


def test_labels_name_the_version_of_the_package(built: Image) -> None:
    version = subprocess.run(
        [
            "chroot",
            built.root,
            f"{ENVIRONMENT}/bin/python",
            "-c",
            "import importlib.metadata as m; print(m.version('pop3-gateway'))",
        ],
        capture_output=True,
        text=True,
    )
    assert built.config["Labels"]["org.opencontainers.image.version"] == version.stdout.strip()


def test_nothing_of_the_build_is_left(built: Image) -> None:
    packages = {path.name for path in (built.root / "opt/pop3-gateway").glob("lib/python3*/site-packages/*")}
    assert "gateway" in packages
    assert not {"pip", "setuptools", "hatchling"} & packages
    left = ["src", "opt/build", "rootfs", "etc/pip.conf", "root/.cache", "root/.config", "run/secrets"]
    assert not [path for path in left if (built.root / path).exists()]
    assert [path.name for path in (built.root / "opt").iterdir()] == [Path(ENVIRONMENT).name]
    assert not list((built.root / "tmp").iterdir())


def test_nothing_of_this_machine_is_left(built: Image) -> None:
    """What pip needs here to find packages, the build borrows."""
    values = {value for values in image.pip_sources().values() for value in values if len(value) > 4}
    said = repr(built.description)
    assert not [value for value in values if value in said]
    # The dependencies' own metadata may name the public index; only files of this machine must not be named.
    texts = [
        *(built.root / "opt/pop3-gateway").glob("**/*.dist-info/*"),
        built.root / "opt/pop3-gateway/pyvenv.cfg",
    ]
    local = {value.encode() for value in values if value.startswith(("/", "file:"))}
    assert not [path for path in texts if path.is_file() and any(value in path.read_bytes() for value in local)]


def test_modules_are_compiled(built: Image) -> None:
    """A read-only root cannot keep what Python compiles: it would do so at each start and each health check."""
    [packages] = (built.root / "opt/pop3-gateway").glob("lib/python3*/site-packages")
    sources = list((packages / "gateway").rglob("*.py"))
    assert sources
    assert not [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))]


def test_all_that_settings_may_want_is_there(built: Image) -> None:
    """`state: postgresql://…` and `web:`, whose pages are files."""
    [packages] = (built.root / "opt/pop3-gateway").glob("lib/python3*/site-packages")
    wanted = (
        "psycopg",
        "jinja2",
        "h11",
        "gateway/web/style.css",
        "gateway/web/icon.svg",
        "gateway/web/templates/base.html",
    )
    assert [name for name in wanted if not (packages / name).exists()] == []


def test_volume_belongs_to_the_user(built: Image) -> None:
    state = (built.root / "var/lib/pop3-gateway").stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o7777) == (10110, 10110, 0o700)
    assert (built.root / "var/lib").stat().st_uid == 0


# How it runs


def test_health_check_succeeds_with_nothing_but_an_upstream(by_itself: Container) -> None:
    done = by_itself.inside(by_itself.health_command)
    assert done.returncode == 0, done.stderr


def test_both_exposed_ports_answer(by_itself: Container) -> None:
    ask = "import poplib; print(poplib.POP3('127.0.0.1', 1110).quit(), poplib.POP3_SSL('127.0.0.1', 1995).quit())"
    done = by_itself.inside([f"{ENVIRONMENT}/bin/python", "-c", ask])
    assert done.stdout.count("+OK") == 2, done.stderr


def test_health_check_fails_when_the_gateway_hangs(by_itself: Container, built: Image) -> None:
    """The kernel still takes connections for it, and the check must not wait for longer than its own limit."""
    os.kill(by_itself.pid, signal.SIGSTOP)
    begin = time.monotonic()
    done = by_itself.inside(by_itself.health_command)
    assert done.returncode != 0
    assert time.monotonic() - begin < built.config["Healthcheck"]["Timeout"] / 1e9
    assert (done.stdout + done.stderr).strip()
    os.kill(by_itself.pid, signal.SIGCONT)
    assert by_itself.inside(by_itself.health_command).returncode == 0


def test_health_check_fails_when_there_is_no_gateway(new: New) -> None:
    container = new(environment={"POP3_GATEWAY_UPSTREAM": "imaps://imap.example.com"}, own_network=True)
    done = container.once(container.health_command)
    assert done.returncode == 1
    assert (done.stdout + done.stderr).strip()


def test_without_an_upstream_it_says_what_is_missing(new: New) -> None:
    container = new(own_network=True)
    done = container.once([*container.image.config["Entrypoint"], *container.image.config["Cmd"]])
    assert done.returncode not in (0, 126, 127)
    assert "upstream" in done.stdout + done.stderr


def test_sandbox_is_as_strict_as_the_compose_file(by_itself: Container) -> None:
    """Everything else here was seen under these terms; else it would prove little."""
    status = Path(f"/proc/{by_itself.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10110"] * 4
    assert fields["Gid"].split() == ["10110"] * 4
    assert fields["Groups"].strip() == ""
    assert fields["NSpid"].split()[-1] == "1"
    assert fields["NoNewPrivs"] == "1"
    assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    for place in ("/", "/etc", ENVIRONMENT, "/run", "/var/lib"):
        done = by_itself.inside(["touch", f"{place}/file"])
        assert "Read-only file system" in done.stderr
    assert by_itself.inside(["touch", "/var/lib/pop3-gateway/file"]).returncode == 0


def test_stop_signal_ends_it_with_success(by_itself: Container) -> None:
    """With clients connected that would stay for longer."""
    idle = "import poplib, time; poplib.POP3('127.0.0.1', 1110); print('connected', flush=True); time.sleep(100)"
    with by_itself.inside_meanwhile([f"{ENVIRONMENT}/bin/python", "-c", idle]) as client:
        assert client.stdout is not None
        assert client.stdout.readline().strip() == "connected"
        begin = time.monotonic()
        assert by_itself.stop() == 0, by_itself.log.read_text()
        assert time.monotonic() - begin < 10
    lines = by_itself.log.read_text().splitlines()
    assert lines
    assert not [line for line in lines if not line.startswith("{")]


def test_the_supervisor_of_several_workers_is_process_1(new: New) -> None:
    environment = {"POP3_GATEWAY_UPSTREAM": "imaps://imap.example.com", "POP3_GATEWAY_WORKERS": "3"}
    container = new(environment=environment, own_network=True)
    with container.running():
        container.until_healthy()
        assert container.stop() == 0
    told = [json.loads(line) for line in container.log.read_text().splitlines()]
    assert {event["worker"] for event in told if event["event"] == "gateway stopped" and "worker" in event} == {
        1,
        2,
        3,
    }


def test_state_outlives_the_container(new: New) -> None:
    """Seen by the certificate that it makes for itself: a new one would alarm each client at each restart."""
    container = new(environment={"POP3_GATEWAY_UPSTREAM": "imaps://imap.example.com"}, own_network=True)
    ask = "import ssl; print(ssl.get_server_certificate(('127.0.0.1', 1995)))"
    seen = []
    for _ in range(2):
        with container.running():
            container.until_healthy()
            seen.append(container.inside([f"{ENVIRONMENT}/bin/python", "-c", ask]).stdout)
            assert container.stop() == 0
    assert "BEGIN CERTIFICATE" in seen[0]
    assert seen[0] == seen[1]


# Mail through it


def _free_ports() -> tuple[int, int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        first, second = (one.getsockname()[1] for one in sockets)
    return first, second


def _fetched_by_curl(port: int, mailbox: Mailbox) -> bytes:
    curl = [requires("curl", "curl"), "--silent", "--show-error", "--insecure", "--ssl-reqd", "--max-time", "60"]
    user = f"{mailbox.user}:{mailbox.password}"
    done = subprocess.run([*curl, "--user", user, f"pop3://127.0.0.1:{port}/1"], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def lent(tmp_path: Path, built: Image, certificates: Certificates) -> Path:
    """A folder with certificates, readable for the image's user as an orchestrator's secrets are."""
    folder = tmp_path / "lent"
    folder.mkdir()
    for path in (certificates.ca_file, certificates.cert_file, certificates.key_file):
        copy = folder / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o400)
        os.chown(copy, *map(int, built.config["User"].split(":")))
    return folder


def test_mail_by_environment_alone(new: New, dovecot: Dovecot, mailbox: Mailbox, lent: Path) -> None:
    mailbox.deliver([MESSAGE])
    pop3, pop3s = _free_ports()
    settings = {
        "POP3_GATEWAY_UPSTREAM": f"imaps://{dovecot.host}:{dovecot.imaps_port}",
        "POP3_GATEWAY_UPSTREAM_CA_FILE": "/mnt/ca.pem",
        "POP3_GATEWAY_LISTEN": f"pop3://127.0.0.1:{pop3} pop3s://127.0.0.1:{pop3s}",
    }
    container = new(environment=settings, lent={"/mnt": lent})
    with container.running():
        container.until_healthy()
        assert _fetched_by_curl(pop3, mailbox) == MESSAGE
        [stored] = mailbox.messages()
        assert "\\Seen" in stored.flags
        assert container.stop() == 0


def test_mail_by_file_alone(new: New, dovecot: Dovecot, mailbox: Mailbox, lent: Path, tmp_path: Path) -> None:
    """A file over the image's own is all that counts: nothing in the image's environment overrules it."""
    mailbox.deliver([MESSAGE, MESSAGE])
    pop3, pop3s = _free_ports()
    settings = {
        "listen": [f"pop3://127.0.0.1:{pop3}", f"pop3s://127.0.0.1:{pop3s}"],
        "tls": {"certificate": "/mnt/cert.pem", "key": "/mnt/key.pem"},
        "upstream": {"url": f"imap://{dovecot.host}:{dovecot.imap_port}", "ca_file": "/mnt/ca.pem"},
        "maildrop": {"on_retrieve": "nothing"},
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(settings))
    container = new(lent={"/mnt": lent, CONFIGURATION: file})
    with container.running():
        container.until_healthy()
        context = ssl.create_default_context(cafile=lent / "ca.pem")
        client = poplib.POP3_SSL("localhost", pop3s, context=context, timeout=60)
        client.user(mailbox.user)
        client.pass_(mailbox.password)
        assert client.stat()[0] == 2
        assert b"\r\n".join([*client.retr(1)[1], b""]) == MESSAGE
        client.dele(2)
        client.quit()
        [stored] = mailbox.messages()
        assert stored.octets == MESSAGE
        assert "\\Seen" not in stored.flags
        assert container.stop() == 0
