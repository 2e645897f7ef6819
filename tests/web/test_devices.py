"""What a device is told works there as it stands."""

import re
import shlex
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from gateway.web.devices import devices
from gateway.web.place import Pop3Server
from tests.servers.fixtures import Mailbox, requires
from tests.servers.machine import free_ports
from tests.servers.tls import Certificates
from tests.web.conftest import StartEnrolling
from tests.web.person import Page

SECONDS = 60
TLS_AT_ONCE, STLS = "pop3s", "pop3"


@pytest.fixture(params=[TLS_AT_ONCE, STLS])
def last_page(request: pytest.FixtureRequest, start_enrolling: StartEnrolling, owner: Mailbox) -> Page:
    [port] = free_ports("127.0.0.1", 1)
    listen: dict[str, Any] = {"listen": [f"{request.param}://127.0.0.1:{port}"]}
    enrolling = start_enrolling(**listen)
    with enrolling.person() as person:
        page = enrolling.enrol(person, enrolling.invite(owner.user), owner.user)
    assert page.settings["Security"] == {TLS_AT_ONCE: "SSL/TLS", STLS: "STARTTLS"}[request.param]
    return page


def text_for(page: Page, device: str) -> str:
    found = re.search(rf'aria-label="{device}"><code>(.*?)</code>', page.text, re.DOTALL)
    assert found
    return unescape(found[1])


def test_curl_lists_the_messages(last_page: Page, certificates: Certificates) -> None:
    command = shlex.split(text_for(last_page, "curl"))
    user = last_page.settings["User"]
    assert command[command.index("--user") + 1] == user  # it asks for the password
    command.remove("--user")
    command.remove(user)
    command[0] = requires("curl", "curl")
    more = f'user = "{user}:{last_page.password}"\ncacert = "{certificates.ca_file}"\nsilent\n'
    done = subprocess.run(
        [*command, "--config", "-"], input=more, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1", "2", "3"]


def test_fetchmail_finds_them(last_page: Page, certificates: Certificates, tmp_path: Path) -> None:
    """The password and the tests' own authority are put behind what the page says."""
    said = text_for(last_page, "fetchmail")
    config = tmp_path / "fetchmailrc"
    config.write_text(f'{said} password "{last_page.password}" sslcertfile "{certificates.ca_file}"\n')
    config.chmod(0o600)
    options = ["--fetchmailrc", str(config), "--pidfile", str(tmp_path / "pid"), "--check"]
    command = [requires("fetchmail", "fetchmail"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env={"HOME": str(tmp_path)})
    assert (done.returncode, "3 messages" in done.stdout) == (0, True), done.stdout + done.stderr


def test_names_are_quoted_as_each_wants_it() -> None:
    server = Pop3Server("mail.example.org", 995, implicit_tls=True)
    found = {device.name: device for device in devices(server, "o'hara\"\\x {host}")}
    assert shlex.split(found["curl"].text)[2] == "o'hara\"\\x {host}"
    assert 'user "o\'hara\\"\\\\x {host}" ssl' in found["fetchmail"].text
    assert ("Username", "o'hara\"\\x {host}") in found["Thunderbird"].settings
