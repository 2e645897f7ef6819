"""nginx before the page, as docs/enrolment.md has it: TLS there, a path of ours, and the browser's address."""

import re
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import documents, leaks
from tests.servers.authorization import SCOPE, AuthorizationServer
from tests.servers.fixtures import Mailbox, requires
from tests.servers.machine import ended, free_ports, is_taken, wait
from tests.servers.tls import Certificates
from tests.web.conftest import PROVIDER, StartEnrolling
from tests.web.person import Person

START_SECONDS = 10.0

_CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
{location}
    }}
}}
"""


def documented(page_port: int) -> str:
    """The example, with the page's port."""
    text = (documents.ROOT / "docs" / "enrolment.md").read_text()
    found = re.search(r"^    location /enrol/ \{.*?^    \}$", text, re.DOTALL | re.MULTILINE)
    assert found
    return textwrap.dedent(found[0]).replace("127.0.0.1:8110", f"127.0.0.1:{page_port}")


@contextmanager
def nginx(folder: Path, certificates: Certificates, port: int, page_port: int) -> Iterator[None]:
    program = requires("nginx", "nginx")
    configuration = folder / "nginx.conf"
    values = {"certificate": certificates.cert_file, "key": certificates.key_file}
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, port=port, location=documented(page_port), **values)
    )
    command: list[str | Path] = [program, "-p", folder, "-e", folder / "log", "-c", configuration]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            assert wait(lambda: is_taken("127.0.0.1", port) or ended(process), START_SECONDS)
            yield
        finally:
            process.kill()


def test_the_whole_way_behind_nginx(
    start_enrolling: StartEnrolling,
    authorization: AuthorizationServer,
    owner: Mailbox,
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    port, page_port = free_ports("127.0.0.1", 2)
    url = f"https://localhost:{port}/enrol"
    registered = authorization.register(f"{url}/callback")
    application = {
        "issuer": authorization.issuer,
        "client_id": registered.client_id,
        "client_secret": registered.client_secret,
        "scopes": [SCOPE],
    }
    web = {"listen": f"http://127.0.0.1:{page_port}", "url": url}
    enrolling = start_enrolling(web, oauth={PROVIDER: application})
    with (
        nginx(tmp_path, certificates, port, page_port),
        Person(url, certificates.ca_file) as person,
        authorization.browser() as browser,
    ):
        told = enrolling.gateway.run("account", "invite", owner.user)
        link = told.strip()
        leaks.note(link.rpartition("/")[2])
        assert link.startswith(f"{url}/i/")
        page = person.get(browser.sign_in(person.begin(link), owner.user))
        assert page.settings["Server"] == "localhost"
        assert page.password
        enrolling.gateway.wait_for("page served", page="callback", address="127.0.0.1")
