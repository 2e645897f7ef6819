"""Thunderbird without a window, told what to do by its remote control (Marionette)."""

import base64
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.clients.client import Failed, Site, Tls
from tests.servers.fixtures import Mailbox, requires
from tests.servers.machine import free_ports

START_SECONDS = 60.0
LOOK_SECONDS = 0.1
FETCH_SECONDS = 60.0
_OPTIONS = ("--headless", "--no-remote", "--marionette", "--remote-allow-system-access")
_SOCKET_TYPES: dict[Tls, int] = {"none": 0, "stls": 2, "pop3s": 3}  # nsMsgSocketType
# nsMsgAuthMethod: what its account settings call "normal password" and "encrypted password". In POP3 it has no way
# to log in by certificate, and XOAUTH2 is for providers that it knows.
NORMAL, ENCRYPTED = 3, 4

# Trust the authority, remember the password, get new mail; in the end, how that went.
_FETCH = """
const [host, user, password, authority, tell] = arguments;
(async () => {
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const certificates = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
certificates.addCertFromBase64(authority, "C,,");
const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
login.init(`mailbox://${host}`, null, `mailbox://${host}`, user, password, "", "");
await Services.logins.addLoginAsync(login);
const server = MailServices.accounts.accounts[0].incomingServer;
return await new Promise(resolve => MailServices.pop3.GetNewMail(null, {
  OnStartRunningUrl() {},
  OnStopRunningUrl(url, status) { resolve(status ? `status ${status.toString(16)}` : "fetched"); },
}, server.rootFolder.getChildNamed("Inbox"), server));
})().then(tell, tell);
"""


class Thunderbird:
    """Each fetch is a start of its own, with a profile of its own."""

    def __init__(self, home: Path) -> None:
        self._program = requires("thunderbird", "thunderbird")
        self._home = home

    def fetch(self, site: Site, mailbox: Mailbox, *, tls: Tls, method: int) -> tuple[list[bytes], str]:
        """What is in its inbox then, and its log of the conversation. Raises Failed."""
        profile = self._home / "profile"
        profile.mkdir()
        [port] = free_ports("127.0.0.1", 1)
        settings = _settings(site, mailbox, tls, method) | {"marionette.port": port}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items()]
        (profile / "user.js").write_text("".join(lines))
        authority = x509.load_pem_x509_certificate(site.ca_file.read_bytes()).public_bytes(Encoding.DER)
        trusted = base64.b64encode(authority).decode()
        log = self._home / "log"
        with self._running(profile, port, log) as remote:
            said = remote.execute(_FETCH, site.host, mailbox.user, mailbox.password, trusted)
        if said != "fetched":
            raise Failed(str(said), log.read_text(errors="replace"))
        inbox = (profile / "Mail" / site.host / "Inbox").read_bytes()
        return inbox.split(b"From - ")[1:], log.read_text(errors="replace")

    @contextmanager
    def _running(self, profile: Path, port: int, log: Path) -> Iterator["_Remote"]:
        command = [self._program, *_OPTIONS, "--profile", str(profile)]
        environment = {"HOME": str(self._home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        with (
            log.open("wb") as out,
            subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT) as process,
        ):
            try:
                with _Remote(port) as remote:
                    yield remote
            finally:
                process.kill()


class _Remote:
    """Marionette: a JSON list a message, its length before it."""

    def __init__(self, port: int) -> None:
        self._socket = _connect(port)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> "_Remote":
        self._read()  # who it is
        self._call("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": False}}})
        self._call("Marionette:SetContext", {"value": "chrome"})
        self._call("WebDriver:SetTimeouts", {"script": FETCH_SECONDS * 1000})
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def execute(self, script: str, *arguments: str) -> Any:
        call = {"script": script, "args": list(arguments), "newSandbox": True}
        return self._call("WebDriver:ExecuteAsyncScript", call)["value"]

    def _call(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        octets = json.dumps([0, 1, name, parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(octets), octets))
        _, _, error, result = self._read()
        if error:
            raise Failed(error["error"], error["message"])
        return result or {}

    def _read(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            octet = self._file.read(1)
            assert octet, "Thunderbird is gone"
            length += octet
        return json.loads(self._file.read(int(length[:-1])))


def _connect(port: int) -> socket.socket:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), FETCH_SECONDS)
        except ConnectionRefusedError:
            assert time.monotonic() < end, "Thunderbird does not start"
            time.sleep(LOOK_SECONDS)


def _settings(site: Site, mailbox: Mailbox, tls: Tls, method: int) -> dict[str, str | int | bool]:
    server: dict[str, str | int | bool] = {
        "type": "pop3",
        "hostname": site.host,
        "port": site.port_for(tls),
        "userName": mailbox.user,
        "name": mailbox.user,
        "socketType": _SOCKET_TYPES[tls],
        "authMethod": method,
        "leave_on_server": True,
        "login_at_startup": False,
        "check_new_mail": False,
        "directory-rel": f"[ProfD]Mail/{site.host}",
    }
    return {
        "mail.accountmanager.accounts": "account1",
        "mail.accountmanager.defaultaccount": "account1",
        "mail.account.account1.server": "server1",
        **{f"mail.server.server1.{name}": value for name, value in server.items()},
        "mailnews.pop3.loglevel": "All",
        "browser.dom.window.dump.enabled": True,
        "devtools.console.stdout.chrome": True,
        "app.update.enabled": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "toolkit.telemetry.enabled": False,
        "network.proxy.type": 1,  # there is nothing there: it speaks to nobody but the gateway
        **{f"network.proxy.{name}": "127.0.0.1" for name in ("http", "ssl")},
        **{f"network.proxy.{name}_port": 9 for name in ("http", "ssl")},
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "mail.provider.suppress_dialog_on_startup": True,
        "mail.rights.version": 1,
        "extensions.update.enabled": False,
        "services.settings.server": "data:,",
    }
