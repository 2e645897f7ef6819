"""nginx's mail proxy: it asks a service about each login, and goes where that says."""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.servers.fixtures import requires
from tests.servers.machine import POLL_SECONDS, ended, free_ports, is_taken
from tests.skipping import skip_unless_ci

MODULE = Path("/usr/lib/nginx/modules/ngx_mail_module.so")
ADDRESS = "127.0.0.1"
KEY = "hunter2 for services"  # that the service knows us by
START_SECONDS = 10.0
STOP_SECONDS = 10.0

_CONFIGURATION = """\
load_module {module};
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
mail {{
    server_name localhost;
    auth_http {service};
    auth_http_header X-Auth-Key "{key}";
    pop3_auth plain apop;
    imap_auth plain login;
    server {{ listen {address}:{pop3}; protocol pop3; }}
    server {{ listen {address}:{imap}; protocol imap; }}
}}
"""


class Nginx:
    """`pop3_port`, `imap_port`: its own. `service` is the URL that it asks."""

    def __init__(self, service: str) -> None:
        program = requires("nginx", "nginx")
        if not MODULE.exists():
            skip_unless_ci("nginx has no mail proxy here: apt-get install libnginx-mod-mail")
        self.pop3_port, self.imap_port = free_ports(ADDRESS, 2)
        self._folder = tempfile.TemporaryDirectory(prefix="nginx-")
        folder = Path(self._folder.name)
        self._log = folder / "log"
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                module=MODULE,
                folder=folder,
                service=service,
                key=KEY,
                address=ADDRESS,
                pop3=self.pop3_port,
                imap=self.imap_port,
            )
        )
        self._process = subprocess.Popen(
            [program, "-p", folder, "-e", self._log, "-c", configuration], stderr=subprocess.DEVNULL
        )
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._folder.cleanup()

    def _wait_until_it_listens(self) -> None:
        end = time.monotonic() + START_SECONDS
        while not (is_taken(ADDRESS, self.pop3_port) and is_taken(ADDRESS, self.imap_port)):
            if ended(self._process) or time.monotonic() > end:
                raise RuntimeError(f"nginx did not start:\n{self._log.read_text(errors='replace')}")
            time.sleep(POLL_SECONDS)
